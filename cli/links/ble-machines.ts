/** The machines that are in reach of this host's Bluetooth radio, and who each of them says it is. */
import type { Link } from "../../core/ports/link.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { BleStream, busyNotice } from "../../firmware/links/ble-stream.ts";
import type { BleCentralDriver } from "../../firmware/links/drivers.ts";
import { hostCentral } from "../../host-sim/links/ble-link.ts";
import type { Context } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { type Identity, identify } from "./identify.ts";

export interface BleMachine {
  /** What `--link` takes: by its name, or by its address where the name names no single one. */
  readonly endpoint: string;
  readonly address: string;
  readonly identity?: Identity;
  /** Why it is not known who it is. */
  readonly problem?: string;
}

const IDENTITY_TIMEOUT_MS = 10_000;
/** Until the machine has heard that we are gone. */
const PARTING_MS = 300;

/** One after the other, as each has answered: a radio connects to one at a time. Throws a Failure without a radio. */
export async function* findBleMachines(
  searchMs: number,
  atEnd: Context["atEnd"],
): AsyncGenerator<BleMachine> {
  const driver = await hostCentral().catch((cause: unknown) => {
    throw new Failure(messageOf(cause), EXIT.noAnswer, { cause });
  });
  atEnd(() => driver.close());
  const found = await search(driver, searchMs);
  for (const [address, name] of found) {
    const isOnly = [...found.values()].filter((one) => one === name).length === 1;
    const isUsable = name !== "" && isOnly && !name.includes("=");
    const endpoint = `ble:${isUsable ? name : address}`;
    yield { endpoint, address, ...(await ask(driver, address)) };
  }
}

/** Addresses with their names; the name may come after the address, in a scan response. */
async function search(
  driver: BleCentralDriver,
  searchMs: number,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const stop = driver.scan(({ address, name }) => {
    if (name !== "" || !found.has(address)) found.set(address, name);
  });
  await sleep(searchMs);
  stop();
  return found;
}

async function ask(
  driver: BleCentralDriver,
  address: string,
): Promise<Pick<BleMachine, "identity" | "problem">> {
  try {
    const stream = new BleStream(await driver.connect(address));
    const busy = busyNotice();
    let isBusy = false;
    const link: Link = {
      name: stream.name,
      kind: stream.kind,
      send: (bytes) => stream.send(bytes),
      close: () => stream.close(),
      onBytes: () => {},
      onClosed: () => {},
    };
    stream.onClosed = (reason) => link.onClosed(reason);
    stream.onBytes = (bytes) => {
      isBusy ||= equal(bytes, busy);
      if (isBusy) link.close();
      else link.onBytes(bytes);
    };
    const identity = await identify(link, IDENTITY_TIMEOUT_MS);
    link.close();
    await sleep(PARTING_MS);
    if (identity) return { identity };
    return isBusy ? { problem: "it serves another customer; come again" } : {};
  } catch (cause) {
    return { problem: messageOf(cause) };
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms));
}
