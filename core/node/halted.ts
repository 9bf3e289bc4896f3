/** What became of a command when its channel halted: the stored record knows (DESIGN §3 "The runner commits"). */
import type { Channel } from "../channel/draft.ts";
import type { ChannelEvent } from "../channel/effects.ts";
import type { Command, Input } from "../channel/inputs.ts";
import { type ChannelRecord, isOpen } from "../channel/record.ts";
import { equal } from "../primitives/bytes.ts";

const COMMANDS: readonly Input["type"][] = [
  "open",
  "funded",
  "push",
  "addHtlc",
  "fulfillHtlc",
  "failHtlc",
  "updateFee",
  "close",
  "forceClose",
];

export function isCommand(input: Input): input is Command {
  return COMMANDS.includes(input.type);
}

/** The event that tells a command's fate once the channel was read from the store again; undefined where it is stored. */
export function fateOf(command: Command, channel: Channel | undefined): ChannelEvent | undefined {
  const reason = "the channel halted before this was stored: nothing was paid";
  const rejected: ChannelEvent = { type: "rejected", command, reason };
  if (channel?.kind !== "live") return rejected;
  const { record } = channel;
  switch (command.type) {
    case "push":
    case "addHtlc":
      return committed(command, record) ?? rejected;
    case "fulfillHtlc": {
      const htlc = record.base.htlcs.find((h) => !h.offeredByLocal && h.id === command.htlcId);
      return htlc && !htlc.preimage ? rejected : undefined;
    }
    case "close":
      return record.closeFeeratePerKw === command.feeratePerKw ? undefined : rejected;
    case "forceClose":
      return isOpen(record.phase) ? rejected : undefined;
    default:
      return rejected;
  }
}

function committed(
  command: Extract<Command, { type: "push" | "addHtlc" }>,
  { pending }: ChannelRecord,
): ChannelEvent | undefined {
  for (const update of pending.localSigned) {
    if (command.type === "push" && update.type === "push") {
      const { id: pushId, payments } = update;
      if (equal(payments, command.payments)) return { type: "pushCommitted", pushId, payments };
    }
    if (command.type === "addHtlc" && update.type === "add") {
      const { htlc } = update;
      if (equal(htlc.paymentHash, command.paymentHash)) return { type: "htlcCommitted", htlc };
    }
  }
  return undefined;
}

/** Inputs without which the channel would misjudge its link or the chain: never dropped, and never sent by a peer. */
export function isVital({ type }: Input): boolean {
  return ["connected", "disconnected", "tip", "confirmed", "reorganised", "suspect"].includes(type);
}

export function withoutLink(inputs: readonly Input[]): Input[] {
  return inputs.filter((input) => !isOfLink(input));
}

/** It means something only while the link that brought it is there. */
export function isOfLink({ type }: Input): boolean {
  return type === "message" || type === "connected";
}

/** Inputs by which the chain may end a channel: only they need the archive. */
export function endsChannel(input: Input): boolean {
  return input.type === "tip" || input.type === "confirmed" || input.type === "reorganised";
}
