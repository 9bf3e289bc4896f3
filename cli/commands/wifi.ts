/** `picobolt wifi`: the network that a device joins; a device that nobody owns takes it by Improv on its cable, another one from its owner. */
import type { Command, Context, Options } from "../command.ts";
import { text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import type { Endpoint } from "../links/endpoint.ts";
import { checkWifi, ImprovClient } from "../links/improv-client.ts";
import { typedWord } from "../prompt.ts";
import { deviceOptions } from "../target/target.ts";

export const wifi: Command = {
  streams: true,
  configure(parser) {
    parser
      .option("--ssid <name>", "the network's name")
      .option("--open", "it has no password; else the password is asked for")
      .option("--scan", "show the networks that the device sees (a device without an owner)");
    deviceOptions(parser);
  },
  examples: [
    "picobolt wifi --ssid workshop",
    "picobolt wifi --ssid guests --open",
    "picobolt wifi --scan --device /dev/ttyUSB0",
  ],
  run,
};

async function run(context: Context, _args: readonly string[], options: Options): Promise<void> {
  const ssid = text(options, "ssid");
  const isScan = options.scan === true;
  if (!isScan && ssid === undefined) {
    throw new Failure("name the network with --ssid, or look for it with --scan", EXIT.usage);
  }
  if (ssid !== undefined) checkWifi(ssid, "");
  const { deviceEndpoint, openOwnedDevice, answered } = await import("../owner/owned-device.ts");
  const endpoint = await deviceEndpoint(context, options);
  const isNew = endpoint.card?.claimed === false;
  if (isNew) checkCable(endpoint);
  else if (isScan) {
    throw new Failure(
      "a device that has an owner does not look for networks: it is on one or tries to be",
      EXIT.refused,
    );
  }
  if (isScan) await showNetworks(context, endpoint);
  if (ssid === undefined) return;
  const password = options.open ? "" : await typedPassword(ssid);
  if (isNew) {
    await joinByImprov(context, endpoint, { ssid, password });
    return;
  }
  const device = await openOwnedDevice(context, options, endpoint);
  await answered(device.setSettings({ wifi: { ssid, password } }));
  context.out.text(`the device joins ${ssid}`);
  context.out.result({ ok: true, ssid, by: "owner" });
}

function checkCable({ link, name }: Endpoint): void {
  if (link.kind === "stream" && !link.name.startsWith("ble:")) return;
  throw new Failure(
    `${name} has no owner: it takes a network on its cable; or claim it first, with the --code printed on it`,
    EXIT.refused,
  );
}

async function typedPassword(ssid: string): Promise<string> {
  const password = await typedWord(`password of ${ssid}: `);
  if (!password) throw new Failure("no password was typed", EXIT.usage);
  checkWifi(ssid, password);
  return password;
}

async function showNetworks({ out }: Context, { link }: Endpoint): Promise<void> {
  out.note("the device looks for networks …");
  const networks = await new ImprovClient(link).networks();
  for (const { ssid, rssi, isOpen } of networks) {
    const line = `${String(rssi).padStart(4)} dBm  ${ssid}${isOpen ? "  (open)" : ""}`;
    out.line(line, { ssid, rssi, open: isOpen });
  }
  if (networks.length === 0) out.text("it sees none, or this board cannot look");
  out.result({ networks: networks.length });
}

async function joinByImprov(
  { out }: Context,
  { link, name }: Endpoint,
  { ssid, password }: { readonly ssid: string; readonly password: string },
): Promise<void> {
  const improv = new ImprovClient(link);
  if (await improv.isProvisioned()) out.note("it is on a network already, and changes to this one");
  out.note(`the device on ${name} tries to join ${ssid} …`);
  const url = await improv.join(ssid, password);
  out.text(`the device is on ${ssid}, and keeps it`);
  out.result({ ok: true, ssid, by: "improv", ...(url && { url }) });
}
