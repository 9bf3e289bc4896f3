/** Machines that stay after their buyer has left: how each is reached by the other commands, until Ctrl-C. */
import type { VirtualWorld } from "../../host-sim/virtual/virtual-world.ts";
import type { Context } from "../command.ts";

/** Resolves never: Ctrl-C ends the command. */
export async function keep({ out }: Context, world: VirtualWorld, home: string): Promise<never> {
  const { machines, visitorUplink } = world;
  const env = { PICOBOLT_HOME: home };
  for (const { device, port, radioFolder } of machines) {
    await port?.plugIn();
    const link = `${port?.customerLink ?? `ble:${device.name}`}=${device.nodeId}`;
    const radio = radioFolder === undefined ? {} : { env: { PICOBOLT_RADIO: radioFolder } };
    const words = radioFolder === undefined ? "" : `PICOBOLT_RADIO=${radioFolder} picobolt … `;
    out.line(`${device.name}  ${words}--link ${link}`, { machine: device.name, link, ...radio });
  }
  world.keepMining();
  out.text(`gateway  --gateway ${visitorUplink}`);
  out.text("\nin another terminal, one command at a time:");
  out.text(`  export PICOBOLT_HOME=${home}`);
  out.text("they run until Ctrl-C");
  out.result({ kept: machines.length, gateway: visitorUplink, env });
  // What waits for a signal alone does not keep a process alive; the machines' pipes do.
  return new Promise<never>(() => {});
}
