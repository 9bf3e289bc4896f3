/** The microcontroller's figures beside their aims: a table for people, an object for programs. */
import type { Proof } from "./proof.ts";

export function jsonOf(proof: Proof) {
  return {
    result: "ok",
    push_instructions: proof.pushInstructions,
    push_idle_instructions: proof.pushIdleInstructions,
    open_instructions: proof.openInstructions,
    ram_bytes: proof.ramBytes,
    js_heap_bytes: proof.jsHeapBytes,
    c_stack_bytes: proof.cStackBytes,
    image_bytes: proof.imageBytes,
    ram_bytes_after: proof.ramAfter,
    power_cuts: proof.powerCuts,
    claim_cuts: proof.claimCuts,
    lost_sat: proof.lostSat,
  };
}

export function tableOf(proof: Proof): string {
  const millions = (count: number) => `${(count / 1e6).toFixed(1)} M instructions`;
  const rows: readonly (readonly [string, string, string])[] = [
    ["a push, received to delivered", millions(proof.pushInstructions), "aim 15 M"],
    ["  for the next one, in idle time", millions(proof.pushIdleInstructions), ""],
    ["a channel, opened to proven", millions(proof.openInstructions), ""],
    ["RAM in all, two channels", kb(proof.ramBytes), "aim 128 KB of 320"],
    ["  of it until it was claimed", kb(proof.ramAfter.claimed), ""],
    ["  JavaScript heap", kb(proof.jsHeapBytes), ""],
    ["  C stack", kb(proof.cStackBytes), ""],
    ["  JavaScript stack", `${proof.engineStackSlots} slots`, "of 1024"],
    ["image", kb(proof.imageBytes), "aim 700 KB"],
    ["power cuts", `${proof.powerCuts}`, ""],
    ["power cuts during a claim", `${proof.claimCuts}`, ""],
    ["restarts in all", `${proof.restarts}`, ""],
    ["lost", `${proof.lostSat} sat`, ""],
  ];
  const [wide, middle] = [0, 1].map((i) =>
    Math.max(...rows.map((row) => (row[i] as string).length)),
  );
  return rows
    .map(([what, figure, aim]) =>
      `  ${what.padEnd(wide ?? 0)}  ${figure.padEnd(middle ?? 0)}  ${aim}`.trimEnd(),
    )
    .join("\n");
}

export function kb(bytes: number): string {
  return `${Math.round(bytes / 1024)} KB`;
}
