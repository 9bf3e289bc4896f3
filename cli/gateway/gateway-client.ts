/** How a command speaks to a gateway: the one of this machine, found by its data folder, or the one that is named. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PicoboltClient } from "../../client/client.ts";
import { GatewayProblem, GatewayUnreachable } from "../../client/errors.ts";
import { API_URL_FILE } from "../../gateway/run/api-place.ts";
import { SETTINGS } from "../../gateway/run/settings.ts";
import { type Options, text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { type Target, targetOf } from "../target/target.ts";

/** The target of a command that is a gateway's alone. */
export function gatewayOf(options: Options): GatewayTarget {
  const target = targetOf(options) ?? { kind: "gateway" };
  if (target.kind === "gateway") return target;
  throw new Failure("a device was named, and a gateway is asked: use --gateway", EXIT.usage);
}

export type GatewayTarget = Extract<Target, { readonly kind: "gateway" }>;

export async function withGateway(
  target: GatewayTarget,
  options: Options,
  work: (client: PicoboltClient) => Promise<void>,
): Promise<void> {
  try {
    await work(PicoboltClient.at(accessOf(target, options)));
  } catch (cause) {
    if (cause instanceof TypeError) throw new Failure(cause.message, EXIT.usage, { cause });
    if (cause instanceof GatewayUnreachable) throw new Failure(cause.message, EXIT.noAnswer);
    if (!(cause instanceof GatewayProblem)) throw cause;
    const isDone = cause.status < 500;
    throw new Failure(cause.message, isDone ? EXIT.refused : EXIT.failed, { cause });
  }
}

function accessOf(
  target: GatewayTarget,
  options: Options,
): { url: string; macaroon: string; ca?: string } {
  const named = target.folder ?? text(options, "dataDir") ?? process.env.DATA_DIR;
  const folder = named ?? SETTINGS.data_dir.usual;
  const place = join(folder, API_URL_FILE);
  const url = target.url ?? (existsSync(place) ? read(place) : undefined);
  if (url === undefined) {
    throw new Failure(
      `no gateway runs on ${folder}: start one (picobolt gateway), or say where it is (--gateway <url|folder>)`,
      EXIT.noAnswer,
    );
  }
  const ca = text(options, "ca") ?? join(folder, "ca.pem");
  const isNamed = text(options, "ca") !== undefined;
  return {
    url,
    macaroon: read(text(options, "macaroon") ?? join(folder, "admin.macaroon")),
    ...((isNamed || existsSync(ca)) && { ca: read(ca) }),
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Failure(`${path} cannot be read (${code})`, EXIT.usage);
  }
}
