/** The operator's descriptor (BIP 380): checked before it is used, so that no coin goes where nobody has a key. */
import { descriptorChecksum } from "../../core/keys/descriptor.ts";
import { scriptOf } from "../api/address.ts";
import { type Kind, SettingRefused } from "../run/setting-kinds.ts";
import type { GatewayNetwork } from "../run/settings.ts";

/** Whoever knows what descriptors stand for: a Bitcoin node, or the simulated chain's stand-in. */
export interface Descriptors {
  /** @throws SettingRefused that says what is wrong with it. */
  open(descriptor: string): Promise<OpenDescriptor>;
}

export interface OpenDescriptor {
  /** With its checksum. */
  readonly text: string;
  /** Each index is another address. */
  readonly isRanged: boolean;
  script(index: number): Promise<Uint8Array>;
}

const KINDS = ["addr", "wpkh", "tr", "wsh", "sh"];
const MAX_LENGTH = 2_000;

/** What can be told of it without a node; the network's part is looked at when the gateway starts. */
export const descriptor: Kind<string> = {
  what: `a descriptor: ${KINDS.map((one) => `${one}(…)`).join(", ")}`,
  read(given) {
    const text = typeof given === "string" ? given.trim() : "";
    const why = fault(text);
    // What is given may hold a key: it is not repeated.
    if (why !== undefined) throw new SettingRefused(`the descriptor ${why}`);
    return text;
  },
};

/** Without its checksum. */
export function bareDescriptor(text: string): string {
  return text.split("#")[0] as string;
}

function fault(text: string): string | undefined {
  if (text === "") return `is missing: give one of ${KINDS.map((one) => `${one}(…)`).join(", ")}`;
  if (text.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
  if (/[^\x20-\x7e]/.test(text)) return "has a character that no descriptor has (BIP 380)";
  const [bare = "", checksum, ...more] = text.split("#");
  const name = /^([a-z]+)\(.*\)$/.exec(bare)?.[1];
  if (name === undefined) return "is none: it has the form wpkh(…), and an address is addr(…)";
  if (!KINDS.includes(name)) return `is of the kind ${name}: give one of ${KINDS.join(", ")}`;
  if (/[xt]prv|[^0-9a-zA-Z](?:[5KL9c][1-9A-HJ-NP-Za-km-z]{50,51})[^0-9a-zA-Z]/.test(bare)) {
    return "holds a private key: give the public one (xpub…), the gateway needs no more";
  }
  if (/<[0-9;'h]+>/.test(bare)) {
    return "names several chains: give the receiving one alone (…/0/*)";
  }
  if (checksum === undefined) return undefined;
  const right = descriptorChecksum(bare);
  if (more.length === 0 && checksum === right) return undefined;
  return `does not match its checksum (it would be #${right}): a character is wrong`;
}

/** `addr(…)` alone, for whoever has no node. */
export class AddressDescriptors implements Descriptors {
  constructor(private readonly network: GatewayNetwork) {}

  async open(text: string): Promise<OpenDescriptor> {
    const bare = bareDescriptor(descriptor.read(text));
    const address = /^addr\((.*)\)$/.exec(bare)?.[1];
    if (address === undefined) {
      const what = "a Bitcoin node derives its addresses, and there is none here: give addr(…)";
      throw new SettingRefused(`the descriptor cannot be used on ${this.network}: ${what}`);
    }
    let script: Uint8Array;
    try {
      script = scriptOf(address, this.network);
    } catch (cause) {
      throw new SettingRefused(`the descriptor's address: ${(cause as Error).message}`, { cause });
    }
    const whole = `${bare}#${descriptorChecksum(bare)}`;
    return { text: whole, isRanged: false, script: async () => script };
  }
}
