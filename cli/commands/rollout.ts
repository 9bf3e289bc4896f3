/** `picobolt rollout`: an image for a fleet, in stages, with a halt where it does harm. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { AnswerOf, PicoboltClient } from "../../client/client.ts";
import { type Options, text } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { countOf, startingWith, wordOf } from "../gateway/words.ts";
import type { Output } from "../output.ts";
import { manifestOf } from "../owner/update-file.ts";
import { noun, type Verb } from "../target/noun.ts";
import { type Column, shortId, timeText } from "../text-table.ts";

type Rollout = AnswerOf<"getRollout">;
type Part = Rollout["devices"][number];

const PIECE_BYTES = 32_768;
const WHICH = "its id, or the beginning of it; without it the newest";

const COLUMNS: readonly Column<Rollout>[] = [
  { head: "roll-out", of: ({ id }) => shortId(id) },
  { head: "image", of: ({ image: { model, version } }) => `${model} ${version}` },
  { head: "state", of: ({ state }) => state },
  { head: "stage", of: ({ stage, stages }) => `${stage} of ${stages.length}` },
  { head: "done", of: (one) => `${countIn(one, "done")} of ${one.devices.length}` },
  { head: "failed", of: (one) => countIn(one, "failed") },
  { head: "began", of: ({ created_at }) => timeText(created_at) },
  { head: "why", of: ({ reason }) => reason },
];
const PARTS: readonly Column<Part>[] = [
  { head: "device", of: ({ node_id }) => shortId(node_id) },
  { head: "state", of: ({ state, percent }) => (percent === null ? state : `${percent} %`) },
  { head: "since", of: ({ since }) => timeText(since) },
  { head: "why", of: ({ reason }) => reason },
];

function countIn({ devices }: Rollout, state: Part["state"]): number {
  return devices.filter((part) => part.state === state).length;
}

const start: Verb = {
  summary: "send a signed image to the fleet or a group, stage by stage",
  configure: (parser) =>
    void parser
      .argument("<file>", "as picobolt sign-update makes it")
      .option("--group <name>", "only its devices (default: all of the image's model)")
      .option("--stages <list>", "devices or shares of them (default: 1,10%,100%)")
      .option("--healthy <seconds>", "with the new image, before the next stage (default: 3600)")
      .option("--silent <seconds>", "not heard of for so long: it has failed (default: a day)")
      .option("--failures <count>", "are borne; one more halts it (default: 0)")
      .option("--ttl <seconds>", "it waits so long for a device that is away (default: 7 days)"),
  examples: [
    "picobolt rollout start esp32s3-0.4.0.update",
    "picobolt rollout start esp32s3-0.4.0.update --group halls --stages 1,25%,100% --healthy 600",
  ],
  prepare: ([file = ""]) => void updateFile(file),
  gateway: async (client, { out }, words, options) => {
    const file = updateFile(wordOf(words, 0, "the update file"));
    const image = await upload(client, file, out);
    const group = text(options, "group");
    const stages = text(options, "stages");
    const failures = text(options, "failures");
    const started = await client.call("startRollout", {
      image,
      ...(group !== undefined && { group }),
      ...(stages !== undefined && { stages: stages.split(",") }),
      ...(failures !== undefined && { max_failures: Number(failures) }),
      ...seconds(options, { healthy: "healthy_seconds", silent: "silent_seconds" }),
      ...seconds(options, { ttl: "ttl_seconds" }),
    });
    show(out, started);
  },
};

export const rollout = noun("rollout", {
  start,
  list: {
    summary: "all roll-outs, the newest first",
    examples: ["picobolt rollout list"],
    gateway: async (client, { out }) => {
      const { rollouts } = await client.call("listRollouts", {});
      out.table({ columns: COLUMNS, rows: rollouts, none: "no roll-outs" }, { rollouts });
    },
  },
  show: changing("show", "how it stands, device by device", async (_, one) => one),
  pause: changing("pause", "send nothing more until it is resumed", (client, { id }) =>
    client.call("pauseRollout", { id }),
  ),
  resume: changing(
    "resume",
    "go on with a paused or halted one; what failed is tried again",
    (client, one) => client.call("resumeRollout", { id: one.id }),
  ),
  abort: changing("abort", "end it; devices keep the image that they have", (client, { id }) =>
    client.call("abortRollout", { id }),
  ),
});

function changing(
  verb: string,
  summary: string,
  change: (client: PicoboltClient, one: Rollout) => Promise<Rollout>,
): Verb {
  return {
    summary,
    configure: (parser) => void parser.argument("[roll-out]", WHICH),
    examples: [`picobolt rollout ${verb}`, `picobolt rollout ${verb} 7f3a --json`],
    gateway: async (client, { out }, [which = ""]) => {
      const { rollouts } = await client.call("listRollouts", {});
      if (rollouts.length === 0) throw new Failure("there are no roll-outs yet", EXIT.refused);
      const all = which === "" ? rollouts.slice(0, 1) : rollouts;
      const one = startingWith(all, which, { what: "roll-out", id: ({ id }) => id });
      show(out, await change(client, one));
    },
  };
}

function show(out: Output, one: Rollout): void {
  out.text(`${one.id}  ${one.image.model} ${one.image.version} (image ${one.image.number})`);
  out.text(`${one.state}, stage ${one.stage} of ${one.stages.length} (${one.stages.join(", ")})`);
  if (one.reason !== null) out.text(one.reason);
  out.table({ columns: PARTS, rows: one.devices, none: "no devices" }, one);
}

function updateFile(path: string): Uint8Array {
  let file: Uint8Array;
  try {
    file = new Uint8Array(readFileSync(path));
  } catch (cause) {
    throw new Failure(`${path} cannot be read (${messageOf(cause)})`, EXIT.usage);
  }
  try {
    manifestOf(file);
    return file;
  } catch (cause) {
    throw new Failure(`${path} is no update file: ${messageOf(cause)}`, EXIT.usage);
  }
}

async function upload(client: PicoboltClient, file: Uint8Array, out: Output): Promise<string> {
  const digest = createHash("sha256").update(file).digest("hex");
  for (let offset = 0, isWhole = false; !isWhole; ) {
    const bytes = Buffer.from(file.subarray(offset, offset + PIECE_BYTES)).toString("base64");
    const piece = { digest, length: file.length, offset, bytes };
    const { received, complete } = await client.call("uploadImage", piece);
    out.progress("image to the gateway", received, file.length);
    offset = received;
    isWhole = complete;
  }
  out.endBar();
  return digest;
}

function seconds(
  options: Options,
  names: Readonly<Record<string, string>>,
): Readonly<Record<string, number>> {
  const given = Object.entries(names).map(([option, name]) => [name, countOf(options, option)]);
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}
