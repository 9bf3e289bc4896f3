/** Methods that move money: channels, open, close; a request that is repeated moves none twice (docs/ADMIN.md "Methods"). */
import type { PlainObject } from "../../core/messages/admin-values.ts";
import {
  channelId,
  MAX_SATOSHI,
  milliSatoshi,
  type PublicKey,
  satoshi,
} from "../../core/primitives/brands.ts";
import { concat, equal } from "../../core/primitives/bytes.ts";
import type { Method } from "./admin-server.ts";
import type { Administered } from "./administered.ts";
import { AdminError } from "./params.ts";

/** Keys of the last openings: 16 bytes each. */
const OPENED_KEY = "admin/opened";
const KEY_BYTES = 16;
const MAX_OPENED = 16;
const CHANNELS_PER_ANSWER = 8;
const CLOSE_FEERATE_PER_KW = 1_000;
const FEERATES = { min: 253, max: 50_000 };

export function moneyMethods(of: Administered): readonly (readonly [string, Method])[] {
  return [
    ["channels", channels(of)],
    ["open", open(of)],
    ["close", close(of)],
  ];
}

function channels(of: Administered): Method {
  return {
    run: ({ params }) => {
      const from = params.has("from") ? params.integer("from", { min: 0, max: 1_000 }) : 0;
      params.end();
      const all = of.node.channels();
      const some = all.slice(from, from + CHANNELS_PER_ANSWER);
      return { total: all.length, channels: some.map(({ id, channel }) => shown(id, channel)) };
    },
  };
}

type Listed = ReturnType<Administered["node"]["channels"]>[number];

function shown(id: Listed["id"], channel: Listed["channel"]): PlainObject {
  if (channel.kind !== "live") return { id, phase: channel.kind };
  const { record } = channel;
  const { terms, base, phase, remoteNodeId, readySent, readyReceived } = record;
  return {
    id,
    peer: remoteNodeId,
    phase,
    ready: phase === "normal" && readySent && readyReceived,
    capacitySat: terms.fundingSatoshis,
    localMsat: base.toLocalMsat,
    remoteMsat: base.toRemoteMsat,
    htlcs: base.htlcs.length,
    keyIndex: terms.keyIndex,
    fundingTxid: terms.fundingOutpoint.txid,
    fundingVout: terms.fundingOutpoint.vout,
  };
}

function open(of: Administered): Method {
  return {
    run: ({ params }) => {
      const { node, ownership, records } = of;
      const { settings } = ownership;
      if (!settings) throw new AdminError("unclaimed", "this device has no owner yet");
      const { minFundingSat: min, maxFundingSat: max, maxChannels } = settings.policy;
      const amountSat = params.integer("amountSat", { min, max });
      const mostMsat = Math.min(amountSat, MAX_SATOSHI) * 1000;
      const pushMsat = params.has("pushMsat")
        ? params.integer("pushMsat", { min: 0, max: mostMsat })
        : 0;
      const key = params.bytes("key", { min: KEY_BYTES, max: KEY_BYTES });
      const { crypto } = of.board;
      const peer: PublicKey = params.has("peer") ? params.nodeId("peer", crypto) : settings.gateway;
      params.end();
      const opened = records.getValue(OPENED_KEY) ?? new Uint8Array(0);
      if (holds(opened, key)) return { known: true };
      if (!node.isConnected(peer)) throw new AdminError("away", "the peer is not connected");
      if (node.channels().length >= maxChannels) {
        throw new AdminError("full", `the device has its ${maxChannels} channels already`);
      }
      // Before anything is sent: a repeated request after a power cut opens no second one.
      records.setValue(OPENED_KEY, concat(opened.slice(-(MAX_OPENED - 1) * KEY_BYTES), key));
      const id = node.open({
        remoteNodeId: peer,
        channelType: "zero_fee_commitments",
        fundingSatoshis: satoshi(amountSat),
        pushMsat: milliSatoshi(pushMsat),
        feeratePerKw: FEERATES.min,
      });
      return { known: false, temporaryId: id };
    },
  };
}

function close(of: Administered): Method {
  return {
    run: ({ params }) => {
      const id = channelId(params.bytes("id", { min: 32, max: 32 }));
      const force = params.has("force") && params.flag("force");
      const feeratePerKw = params.has("feeratePerKw")
        ? params.integer("feeratePerKw", FEERATES)
        : CLOSE_FEERATE_PER_KW;
      params.end();
      const found = of.node.channels().find((one) => equal(one.id, id));
      if (!found) throw new AdminError("no-channel", "there is no such channel: see channels");
      const { channel } = found;
      const phase = channel.kind === "live" ? channel.record.phase : channel.kind;
      if (phase === "on-chain" || phase === "force-closing" || phase === "ended") {
        return { phase, begun: false };
      }
      if (phase === "closing" && !force) return { phase, begun: false };
      of.log.add(force ? "the owner closes a channel by force" : "the owner closes a channel");
      of.node.command(id, force ? { type: "forceClose" } : { type: "close", feeratePerKw });
      return { phase: force ? "force-closing" : "closing", begun: true };
    },
  };
}

function holds(opened: Uint8Array, key: Uint8Array): boolean {
  for (let at = 0; at + KEY_BYTES <= opened.length; at += KEY_BYTES) {
    if (equal(opened.subarray(at, at + KEY_BYTES), key)) return true;
  }
  return false;
}
