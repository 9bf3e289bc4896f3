/** Descriptors as the Bitcoin node understands them: getdescriptorinfo, deriveaddresses. */
import { fromHex } from "../../../core/primitives/bytes.ts";
import { SettingRefused } from "../../run/setting-kinds.ts";
import {
  bareDescriptor,
  type Descriptors,
  descriptor as kind,
  type OpenDescriptor,
} from "../../settlement/descriptors.ts";
import { type BitcoindRpc, RpcError } from "./rpc.ts";

interface DescriptorInfo {
  readonly descriptor: string;
  readonly isrange: boolean;
  readonly hasprivatekeys: boolean;
}

export class BitcoindDescriptors implements Descriptors {
  constructor(private readonly rpc: BitcoindRpc) {}

  async open(given: string): Promise<OpenDescriptor> {
    const info = await this.told<DescriptorInfo>("getdescriptorinfo", [
      bareDescriptor(kind.read(given)),
    ]);
    if (info.hasprivatekeys) {
      throw new SettingRefused("the descriptor holds a private key: give the public one (xpub…)");
    }
    const { descriptor: text, isrange: isRanged } = info;
    const script = async (index: number): Promise<Uint8Array> => {
      const range = isRanged ? [[index, index]] : [];
      const [address] = await this.told<string[]>("deriveaddresses", [text, ...range]);
      const found = await this.rpc.call<{ scriptPubKey?: string }>("validateaddress", address);
      if (found.scriptPubKey === undefined)
        throw new Error(`the node knows no script of ${address}`);
      return fromHex(found.scriptPubKey);
    };
    await script(0); // what has no address is refused now, not when coins are there
    return { text, isRanged, script };
  }

  private async told<T>(method: string, words: readonly unknown[]): Promise<T> {
    try {
      return await this.rpc.call<T>(method, ...words);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      throw new SettingRefused(`the descriptor: ${error.reason}`, { cause: error });
    }
  }
}
