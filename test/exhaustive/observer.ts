/** A stern look at everything that one side sends and says while it is explored; what is wrong is thrown. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Command } from "../../core/channel/inputs.ts";
import type { Message } from "../../core/messages/message.ts";
import { commitmentNumber, secretKey } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { crypto } from "../support/node-pair.ts";
import type { SideKeys, SideState } from "./side.ts";

/** Something happened that must never happen. */
export class SeenFault extends Error {}

/** Of two words of which only one may be heard: an update is paid or it is not. */
const OPPOSITES: readonly (readonly [string, string])[] = [
  ["committed", "rejected"],
  ["fulfilled", "failed"],
];

/** Messages that no honest peer has a reason for. */
const HOSTILE: readonly Message["type"][] = ["error", "warning", "shutdown"];

export function watchMessage(keys: SideKeys, state: SideState, message: Message): SideState {
  const { name, signer } = keys;
  const { record } = state.channel;
  if (HOSTILE.includes(message.type)) {
    throw new SeenFault(`${name} sent ${message.type}: ${JSON.stringify(message)}`);
  }
  if (message.type === "commitment_signed") {
    if (!record.awaitingRevocation) {
      throw new SeenFault(`${name}: commitment_signed left before it was stored`);
    }
    return signedOnce(name, state, message);
  }
  if (message.type === "revoke_and_ack") {
    const point = crypto.publicKeyOf(secretKey(message.perCommitmentSecret));
    const number = commitmentNumber(Math.max(0, record.localNumber - 1));
    const revoked = signer.channel(record.terms.keyIndex).perCommitmentPoint(number);
    if (record.localNumber === 0 || !equal(point, revoked)) {
      throw new SeenFault(`${name}: a secret left before its successor was stored`);
    }
  }
  return state;
}

/** Under one number one signature, however often it is sent; numbers only rise. */
function signedOnce(
  name: string,
  state: SideState,
  message: Extract<Message, { type: "commitment_signed" }>,
): SideState {
  const number = state.channel.record.remoteNumber + 1;
  const parts = [message.signature, ...message.htlcSignatures];
  const digest = `${number} ${parts.map((part) => toHex(part).slice(0, 16)).join(" ")}`;
  if (Number.parseInt(state.signed, 10) > number) {
    throw new SeenFault(`${name} signed commitment ${number} after a higher one`);
  }
  if (state.signed.startsWith(`${number} `) && state.signed !== digest) {
    throw new SeenFault(`${name} signed two commitments ${number}`);
  }
  return { ...state, signed: digest };
}

export function watchEvent(keys: SideKeys, state: SideState, event: ChannelEvent): SideState {
  switch (event.type) {
    case "rejected":
      // The first one stands, and is told of by itself.
      if (event.reason.includes("was used before")) return state;
      return told(keys, state, "rejected", subject(event.command));
    case "pushCommitted":
      return told(keys, state, "committed", toHex(event.payments));
    case "htlcCommitted":
      return told(keys, state, "committed", toHex(event.htlc.paymentHash));
    case "htlcFulfilled":
      return told(keys, state, "fulfilled", toHex(event.htlc.paymentHash));
    case "htlcFailed":
      return told(keys, state, "failed", toHex(event.paymentHash));
    case "htlcReceived": {
      if (event.declined !== undefined) {
        throw new SeenFault(`${keys.name} declined an HTLC: ${event.declined}`);
      }
      const answer = keys.answers(event);
      const { todo } = state;
      return todo.includes(answer) ? state : { ...state, todo: [...todo, answer].sort() };
    }
    case "pushReceived":
      return told(keys, state, "received", toHex(event.payments), true);
    case "htlcSettled":
      return told(keys, state, "settled", toHex(event.paymentHash), true);
    case "receipt":
      return told(keys, state, "receipt", String(event.pushId), true);
    case "pushSettled":
    case "reestablished":
      return state;
    default:
      throw new SeenFault(`${keys.name} said ${JSON.stringify(event)}`);
  }
}

function subject(command: Command): string | undefined {
  if (command.type === "push") return toHex(command.payments);
  if (command.type === "addHtlc") return toHex(command.paymentHash);
  return undefined;
}

/** `once`: hearing it again would have goods leave again. */
function told(
  { name }: SideKeys,
  state: SideState,
  word: string,
  about: string | undefined,
  once = false,
): SideState {
  if (about === undefined) return state;
  const heard = `${word} ${about}`;
  if (state.told.includes(heard)) {
    if (once) throw new SeenFault(`${name} heard twice: ${heard}`);
    return state;
  }
  for (const pair of OPPOSITES) {
    const [here, there] = pair[0] === word ? pair : [pair[1], pair[0]];
    if (here === word && state.told.includes(`${there} ${about}`)) {
      throw new SeenFault(`${name} heard ${heard} after ${there}`);
    }
  }
  return { ...state, told: [...state.told, heard].sort() };
}
