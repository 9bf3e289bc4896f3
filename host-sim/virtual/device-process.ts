/** A virtual device as a process: the firmware's program on a virtual board; standard input moves its world, standard output tells of it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { toHex } from "../../core/primitives/bytes.ts";
import type { Image } from "../../firmware/board.ts";
import type { LinkDrivers } from "../../firmware/links/drivers.ts";
import { type ProgramEvents, startProgram } from "../../firmware/program.ts";
import { channelEventJson, type JsonObject, plain } from "../../gateway/api/event-json.ts";
import { type CryptoPreference, chooseCrypto } from "../../gateway/crypto/choose.ts";
import { openLink } from "../links/open-link.ts";
import { serialDriverOf } from "../links/serial-driver.ts";
import { emitEvent, serveControl } from "../processes/control.ts";
import { Mechanics } from "./mechanics.ts";
import { createVirtualBoard, RESTART_CODE, type VirtualBoard } from "./virtual-board.ts";

const HELP = `usage: device-process --folder DIR [options]

  --serial serial:/path   a UART, by the name of a link on this host; may be repeated
  --ble FOLDER            a BLE radio: the folder of a virtual one's sockets
  --mqtt                  an MQTT client; the settings name the broker
  --motors N              motors of the machine (default 4)
  --pulses-per-second N   the meter's, while the relay is closed
  --jam-every N           every N-th product gets stuck
  --clock-error SECONDS   the wall clock is wrong by that; "none": there is no clock
  --network NAME          default regtest
  --release-key HEX       whose signature updates need
  --trial-ms N            an image that is new proves itself by running for so long
  --engine node|xs        who runs the program; xs is the engine of a microcontroller, with its crypto in C
  --crypto noble|libsecp256k1|auto   of the Node engine
`;

const { values } = parseArgs({
  options: {
    folder: { type: "string" },
    serial: { type: "string", multiple: true, default: [] },
    ble: { type: "string" },
    mqtt: { type: "boolean", default: false },
    motors: { type: "string", default: "4" },
    "pulses-per-second": { type: "string", default: "0" },
    "jam-every": { type: "string", default: "0" },
    "clock-error": { type: "string", default: "0" },
    network: { type: "string", default: "regtest" },
    "release-key": { type: "string" },
    "trial-ms": { type: "string" },
    version: { type: "string", default: "0.2.0" },
    "image-number": { type: "string", default: "1" },
    engine: { type: "string", default: "node" },
    crypto: { type: "string", default: "auto" },
    help: { type: "boolean", default: false },
  },
});

function imageOf(): Image {
  const key = values["release-key"];
  return {
    version: values.version,
    number: Number(values["image-number"]),
    network: values.network as Image["network"],
    ...(key && { releaseKey: new Uint8Array(Buffer.from(key, "hex")) }),
  };
}

async function driversOf(): Promise<LinkDrivers> {
  const serial = await Promise.all(values.serial.map(async (name) => openLink(name)));
  return {
    serial: serial.map(serialDriverOf),
    ...(values.ble !== undefined && { blePeripheral: await bleDriver(values.ble) }),
    ...(values.mqtt && { mqtt: (await import("../mqtt/mqtt-driver.ts")).mqttDriver() }),
  };
}

/** The stacks are native and large: only who asks for a radio loads them. */
async function bleDriver(folder: string) {
  const { blePeripheralDriver } = await import("../ble/bleno-peripheral.ts");
  const { VirtualRadio } = await import("../ble/virtual-radio.ts");
  return blePeripheralDriver(VirtualRadio.at(folder));
}

async function main(): Promise<void> {
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const { folder } = values;
  if (!folder) throw new Error("--folder is missing");
  const mechanics = new Mechanics({
    motors: Number(values.motors),
    pulsesPerSecond: Number(values["pulses-per-second"]),
    jamEvery: Number(values["jam-every"]),
    onProduct: (motor, fell) => emitEvent("product", { motor, fell }),
  });
  const { "clock-error": error, "trial-ms": trialMs } = values;
  const board = createVirtualBoard({
    folder,
    crypto: chooseCrypto(values.crypto as CryptoPreference),
    mechanics,
    links: await driversOf(),
    print: (line) => emitEvent("line", { line }),
    clockErrorSeconds: error === "none" ? undefined : Number(error),
    ...(trialMs !== undefined && { trialMs: Number(trialMs) }),
  });
  const { engine } = values;
  if (engine !== "node" && engine !== "xs") {
    throw new Error(`there is no engine "${engine}": node and xs are`);
  }
  const program = engine === "xs" ? await inXs(board, folder) : await inNode(board);
  serveControl(methodsOf(program, board, mechanics), () => void end(program, mechanics, folder));
  emitEvent("started", { nodeId: toHex(program.nodeId), isClaimed: await program.isClaimed() });
}

/** The program in either engine. */
interface Running {
  readonly nodeId: Uint8Array;
  isClaimed(): boolean | Promise<boolean>;
  stop(): void | Promise<void>;
}

const events: ProgramEvents = {
  onChannelEvent: (id, event) =>
    emitEvent("channel", { id: toHex(id), ...channelEventJson(event) }),
  onApp: (event) => emitEvent("app", plain(event) as JsonObject),
  onPeer: (peer, state, reason) =>
    emitEvent("peer", { peer: toHex(peer), state, reason: reason ?? "" }),
  onTip: (height, isSynced) => emitEvent("tip", { height, isSynced }),
  onAlarm: (text) => emitEvent("alarm", { text }),
};

async function inNode(board: VirtualBoard): Promise<Running> {
  const program = await startProgram(board, imageOf(), events);
  return {
    nodeId: program.nodeId,
    isClaimed: () => program.isClaimed,
    stop: () => program.stop(),
  };
}

async function inXs(board: VirtualBoard, folder: string): Promise<Running> {
  if (values.crypto === "noble") {
    throw new Error("the program in XS has its crypto in C: leave --crypto out");
  }
  const { XsProgram } = await import("./xs-engine.ts");
  // As a board whose engine has aborted: it starts again, and knows why.
  const onCrash = (cause: Error) => {
    process.stderr.write(`${cause.message}\n`);
    writeFileSync(join(folder, "reset-reason"), "crash");
    process.exit(RESTART_CODE);
  };
  return await XsProgram.start({ board, image: imageOf(), events, onCrash });
}

async function end(program: Running, mechanics: Mechanics, folder: string): Promise<void> {
  await program.stop();
  mechanics.stop();
  // An orderly end is a restart to the program, not a loss of power.
  writeFileSync(join(folder, "reset-reason"), "restart");
  process.exit(0);
}

function methodsOf(program: Running, board: VirtualBoard, mechanics: Mechanics) {
  return {
    press: ({ pin, ms }: JsonObject) => mechanics.press((pin as string) ?? "button", ms as number),
    set: ({ pin, on }: JsonObject) => mechanics.set(pin as string, on as boolean),
    jam: ({ motor, on }: JsonObject) => mechanics.jam(motor as string, on as boolean),
    mechanics: () => ({
      fallen: mechanics.fallen,
      stuck: mechanics.stuck,
      pulses: mechanics.pulses,
      levels: Object.fromEntries(mechanics.names.map((name) => [name, mechanics.read(name)])),
    }),
    info: async () => ({
      nodeId: toHex(program.nodeId),
      isClaimed: await program.isClaimed(),
      bytesProgrammed: board.records.bytesProgrammed,
      eraseCycles: Math.max(...board.records.eraseCounts),
    }),
  };
}

main().catch((cause: unknown) => {
  process.stderr.write(`${cause instanceof Error ? (cause.stack ?? cause.message) : cause}\n`);
  process.exit(1);
});
