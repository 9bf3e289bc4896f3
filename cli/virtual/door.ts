/** How people reach a virtual machine: its port's pty while they are there, or the radio. */
import type { Link } from "../../core/ports/link.ts";
import type { Machine } from "../../host-sim/virtual/virtual-world.ts";
import { openNamed } from "../links/endpoint.ts";
import { PortLink } from "../ports/port-link.ts";

export interface Door {
  readonly link: Link;
  leave(): Promise<void>;
}

const LEAVE_MS = 2_000;

/** `bleName`: as it advertises itself now. */
export async function openDoor({ port, radioFolder }: Machine, bleName: string): Promise<Door> {
  if (radioFolder !== undefined) return bleDoor(radioFolder, bleName);
  if (!port) throw new Error("this machine has no port and no radio");
  await port.plugIn();
  const link = await openNamed(port.customerLink);
  return {
    link,
    leave: async () => {
      if (link instanceof PortLink) await link.drained();
      link.close();
      await port.unplug();
    },
  };
}

async function bleDoor(folder: string, name: string): Promise<Door> {
  const { firstLink } = await import("../../host-sim/links/ble-link.ts");
  const { bleCentralDriver } = await import("../../host-sim/ble/noble-central.ts");
  const { VirtualRadio } = await import("../../host-sim/ble/virtual-radio.ts");
  const driver = await bleCentralDriver(VirtualRadio.at(folder));
  let gone = () => {};
  const isGone = new Promise<void>((resolve) => {
    gone = resolve;
  });
  const link = await firstLink(driver, name, () => {
    driver.close();
    gone();
  }).catch((cause: unknown) => {
    driver.close();
    throw cause;
  });
  return {
    link,
    leave: async () => {
      link.close();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, LEAVE_MS);
      });
      await Promise.race([isGone, late]);
      clearTimeout(timer);
    },
  };
}
