/** A buyer's BLE link on a host: finds a machine by name or address and connects to it (docs/LINKS.md "BLE"). */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import type { Link } from "../../core/ports/link.ts";
import { BleCentral, isNamed } from "../../firmware/links/ble-central.ts";
import type { BleCentralDriver } from "../../firmware/links/drivers.ts";
import { bleCentralDriver, type NobleCentral } from "../ble/noble-central.ts";
import { realClock } from "../ble/real-clock.ts";
import { VirtualRadio } from "../ble/virtual-radio.ts";

/** Names the folder of a virtual radio's sockets; without it the host's own adapter is used. */
export const RADIO_VARIABLE = "PICOBOLT_RADIO";
/** Finding, connecting and, where another customer is served, waiting. */
const OPEN_MS = 45_000;
const SETTLE_TURNS = 15;
const TURN_MS = 10;
const PARTING_MS = 300;

/** This host's radio, powered on. */
export async function hostCentral(): Promise<NobleCentral> {
  const folder = process.env[RADIO_VARIABLE];
  if (!folder) return bleCentralDriver("host");
  const controller = VirtualRadio.at(folder);
  if (existsSync(controller.path)) return bleCentralDriver(controller);
  throw new Error(`there is no virtual radio in ${folder} (${RADIO_VARIABLE})`);
}

/** The first connection to the machine; it closes with it. */
export async function openBleLink(machine: string): Promise<Link> {
  const driver = await hostCentral();
  try {
    return await firstLink(driver, machine, () => driver.close());
  } catch (cause) {
    driver.close();
    throw cause;
  }
}

/** Apart, for tests and for hosts with a radio of their own; `onGone` when the link has closed. */
export function firstLink(
  driver: BleCentralDriver,
  machine: string,
  onGone: () => void,
): Promise<Link> {
  return new Promise((resolve, reject) => {
    let last = "it is not in reach";
    const giveUp = realClock.after(OPEN_MS, () => {
      central.stop();
      reject(new Error(`no BLE machine "${machine}": ${last}; is it on, and is its name right?`));
    });
    const central: BleCentral = new BleCentral({
      driver,
      clock: realClock,
      entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
      isWanted: isNamed(machine),
      onState: (state) => {
        if (state.type === "pausing") last = state.reason;
      },
      attach: (link) => {
        // A busy machine says so first: whoever hears nothing for a moment is served.
        let isEarly = true;
        link.onClosed = () => {
          isEarly = false;
        };
        afterTurns(SETTLE_TURNS, () => {
          if (!isEarly) return;
          giveUp();
          resolve(oneLife(link, central, onGone));
        });
      },
    });
    central.start();
  });
}

/** Not by the clock alone: on a busy host what the machine said would still wait to be read. */
function afterTurns(count: number, work: () => void): void {
  realClock.after(TURN_MS, () => (count > 1 ? afterTurns(count - 1, work) : work()));
}

/** The link again, with which the search ends. */
function oneLife(link: Link, central: BleCentral, onGone: () => void): Link {
  const seen: Link = {
    name: link.name,
    kind: link.kind,
    send: (bytes) => link.send(bytes),
    close: () => central.stop(),
    onBytes: () => {},
    onClosed: () => {},
  };
  link.onBytes = (bytes) => seen.onBytes(bytes);
  link.onClosed = (reason) => {
    central.stop();
    // The machine hears of the end before the radio is off: else it keeps the place for us.
    realClock.after(PARTING_MS, onGone);
    seen.onClosed(reason);
  };
  return seen;
}
