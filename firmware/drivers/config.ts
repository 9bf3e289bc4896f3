/** What the manifests' `config` holds (manifests/*.json), as main.ts reads it. */
import { publicKey } from "../../core/primitives/brands.ts";
import { fromHex } from "../../core/primitives/bytes.ts";
import type { Image } from "../board.ts";
import type { PinConfig } from "./pins.ts";
import type { UartConfig } from "./serial.ts";

interface ImageConfig {
  readonly image: {
    readonly version: string;
    readonly number: number;
    readonly network: Image["network"];
    /** In hex; empty: this image takes no updates. */
    readonly releaseKey: string;
  };
}

export interface BoardConfig extends ImageConfig {
  readonly board: {
    readonly model: string;
    readonly pins: { readonly [name: string]: PinConfig };
    readonly uart: UartConfig;
    readonly nameServers: readonly string[];
    readonly timeServer: string;
  };
}

export interface HostConfig extends ImageConfig {
  readonly board: {
    readonly model: string;
    readonly pins: readonly string[];
    readonly baud: number;
  };
}

export function imageOf({ image }: ImageConfig): Image {
  const { version, number, network, releaseKey } = image;
  if (releaseKey === "") return { version, number, network };
  return { version, number, network, releaseKey: publicKey(fromHex(releaseKey)) };
}
