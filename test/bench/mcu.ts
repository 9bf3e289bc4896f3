/** The device's budgets on the emulated microcontroller: instructions, RAM, image. */
import { buildMcu } from "../../host-sim/mcu/build.ts";
import { prove } from "../../host-sim/mcu/proof.ts";
import { jsonOf, tableOf } from "../../host-sim/mcu/report.ts";

const POWER_CUTS = 2;

export interface McuBench {
  readonly json: Readonly<Record<string, unknown>>;
  readonly table: string;
}

/** Says why where this machine cannot emulate it. */
export async function takeMcuFigures(): Promise<McuBench> {
  try {
    const proof = await prove(await buildMcu(), {
      powerCuts: POWER_CUTS,
      claimCuts: 1,
      heapFailures: 1,
    });
    return {
      json: jsonOf(proof),
      table: `the device on an emulated microcontroller\n${tableOf(proof)}`,
    };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return { json: { result: "failed", reason }, table: `no microcontroller: ${reason}` };
  }
}
