/** The device's whole program on any board: settings, owner, links, app, housekeeping (docs/ARCHITECTURE.md "On the device"). */
import type { ChannelEvent } from "../core/channel/effects.ts";
import type { BlockHeight, ChannelId, PublicKey } from "../core/primitives/brands.ts";
import type { AppEvent } from "./apps/app.ts";
import type { Board, Image } from "./board.ts";
import type { Device } from "./device.ts";

/** For whoever runs the program on a host; a board needs none, its log and its owner's requests tell the same. */
export interface ProgramEvents {
  onChannelEvent?(id: ChannelId, event: ChannelEvent): void;
  onApp?(event: AppEvent): void;
  onPeer?(peer: PublicKey, state: "connected" | "disconnected", reason?: string): void;
  onTip?(height: BlockHeight, isSynced: boolean): void;
  onAlarm?(text: string): void;
}

export interface Program {
  readonly nodeId: PublicKey;
  readonly isClaimed: boolean;
  /** Absent while nobody owns the device. */
  readonly device: Device | undefined;
  stop(): void;
}

/** Boots: self-test, settings, crash reason, node, links, app. Never throws for what flash or settings hold. */
export async function startProgram(
  _board: Board,
  _image: Image,
  _events: ProgramEvents = {},
): Promise<Program> {
  throw new Error("not written yet");
}
