/** Opens a chain by its kind: the one place where the demo and the tests choose between the simulated chain and a node. */
import { startRegtestLab } from "./bitcoind-lab.ts";
import type { ChainLab, LabKind } from "./lab.ts";
import { startSimLab } from "./sim-lab.ts";

export interface LabOptions {
  readonly chain: LabKind;
  /** Lines for a person: what is being downloaded, where the node runs. */
  readonly onProgress?: (line: string) => void;
  /** Folder for a node's data; a temporary one, removed at the end, unless told. */
  readonly dataFolder?: string;
}

export async function createLab(options: LabOptions): Promise<ChainLab> {
  switch (options.chain) {
    case "sim":
      return startSimLab();
    case "bitcoind":
      return startRegtestLab(options);
  }
}
