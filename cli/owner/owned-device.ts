/** A device as its owner reaches it: the link is opened, the owner's key proves who asks (gateway/admin/client.ts). */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type NetworkName, networkNamed } from "../../core/chain/networks.ts";
import { type PublicKey, secretKey } from "../../core/primitives/brands.ts";
import { AdminClient, AdminRefusal, AdminSilence } from "../../gateway/admin/client.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import type { Context, Options } from "../command.ts";
import { text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { readSecret } from "../keys/home.ts";
import { type Endpoint, openEndpoint } from "../links/endpoint.ts";
import { choosePort } from "../ports/serial-ports.ts";
import { linkOf } from "../target/target.ts";
import { networkOf, networkOfDevice } from "./known-devices.ts";

/** A session of somebody who vanished keeps the link for 15 s. */
const CONNECT_TIMEOUT_MS = 25_000;

export function ownerKeyFile(home: string): string {
  return join(home, "owner.key");
}

/** Throws a Failure where no device answers, or where there is no owner's key; `known` where it was opened already. */
export async function openOwnedDevice(
  context: Context,
  options: Options,
  known?: Endpoint,
): Promise<AdminClient> {
  const file = ownerKeyFile(context.home);
  const owner = secretKey(readSecret(file));
  const endpoint = known ?? (await deviceEndpoint(context, options));
  const named = text(options, "network");
  const network = named ? networkOf(named) : networkOfDevice(context.home, endpoint.nodeId);
  return connectOwner(context, { endpoint, owner, network });
}

export async function deviceEndpoint(context: Context, options: Options): Promise<Endpoint> {
  const words = linkOf(options) ?? (await choosePort(undefined));
  return openEndpoint(context, words, "picobolt device");
}

interface OwnerSession {
  readonly endpoint: Endpoint;
  readonly owner: ReturnType<typeof secretKey>;
  readonly network: NetworkName;
}

export async function connectOwner(
  { atEnd }: Context,
  { endpoint, owner, network }: OwnerSession,
): Promise<AdminClient> {
  const client = await answered(
    AdminClient.connect({
      crypto: chooseCrypto(),
      entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
      link: endpoint.link,
      deviceId: endpoint.nodeId as PublicKey,
      ownerSecret: owner,
      network: networkNamed(network),
      timeoutMs: CONNECT_TIMEOUT_MS,
    }),
  );
  atEnd(() => client.close());
  return client;
}

/** What a device says no to, and its silence, as sentences with an exit code. */
export async function answered<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (cause instanceof AdminRefusal) {
      throw new Failure(
        `the device says no to ${cause.method} (${cause.code}): ${cause.message}`,
        EXIT.refused,
        { cause },
      );
    }
    if (cause instanceof AdminSilence) throw new Failure(cause.message, EXIT.noAnswer, { cause });
    throw cause;
  }
}
