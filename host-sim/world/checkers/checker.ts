/** A promise of the product as a world checks it: after every step, at every message and event, and at the end. */
import type { ChannelEvent } from "../../../core/channel/effects.ts";
import type { Message } from "../../../core/messages/message.ts";
import type { ChannelId } from "../../../core/primitives/brands.ts";
import type { SignerWatch } from "../actors/watched-signer.ts";
import type { WorldNode } from "../actors/world-node.ts";
import type { World } from "../world.ts";

/** Says what is broken; the world stops at the end of the step. */
export type Complain = (text: string) => void;

export interface Checker {
  sent?(node: WorldNode, id: ChannelId, message: Message): void;
  event?(node: WorldNode, id: ChannelId, event: ChannelEvent): void;
  alarm?(node: WorldNode, text: string): void;
  signer?(node: WorldNode): Partial<SignerWatch>;
  /** After every step. */
  step?(): void;
  /** When everything has settled. */
  end?(): Promise<void> | void;
}

export type MakeChecker = (world: World, complain: Complain) => Checker;
