/** Packets and remote calls of Improv Wi-Fi, serial version 1 and BLE version 2 (improv-wifi.com/serial, improv-wifi.com/ble). */
import { decodeUtf8, encodeUtf8, utf8Length } from "../../core/messages/utf8.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";

/** "IMPROV" and the version. */
export const IMPROV_HEADER: readonly number[] = [0x49, 0x4d, 0x50, 0x52, 0x4f, 0x56, 1];

export const PacketType = { state: 1, error: 2, command: 3, result: 4 } as const;
export type PacketType = (typeof PacketType)[keyof typeof PacketType];

export const ImprovState = {
  authorizationRequired: 1,
  authorized: 2,
  provisioning: 3,
  provisioned: 4,
} as const;
export type ImprovState = (typeof ImprovState)[keyof typeof ImprovState];

export const ImprovError = {
  none: 0,
  invalidCommand: 1,
  unknownCommand: 2,
  unableToConnect: 3,
  notAuthorized: 4,
  unknown: 0xff,
} as const;
export type ImprovError = (typeof ImprovError)[keyof typeof ImprovError];

/** A command's or a result's data, at most: its length is one byte, and a packet's is one that counts two more. */
export const MAX_RPC_BYTES = 253;
const TYPE_AT = 7;
const LENGTH_AT = 8;
const DATA_AT = 9;
const LINE_END = 0x0a;

export interface Rpc {
  readonly command: number;
  readonly data: Uint8Array;
}

/** Of the packet that begins here, with its checksum; undefined while its length has not come. */
export function improvPacketLength(bytes: Uint8Array): number | undefined {
  const length = bytes[LENGTH_AT];
  return length === undefined ? undefined : DATA_AT + length + 1;
}

/** Whether the checksum of a packet fits; its header was seen. */
export function isImprovPacket(packet: Uint8Array): boolean {
  return packet[packet.length - 1] === checksum(packet.subarray(0, packet.length - 1));
}

/** A packet with the end of its line, as clients look for it. */
export function encodeImprovPacket(type: PacketType, data: Uint8Array): Uint8Array {
  const packet = new Uint8Array(DATA_AT + data.length + 2);
  packet.set(IMPROV_HEADER);
  packet[TYPE_AT] = type;
  packet[LENGTH_AT] = data.length;
  packet.set(data, DATA_AT);
  packet[packet.length - 2] = checksum(packet.subarray(0, packet.length - 2));
  packet[packet.length - 1] = LINE_END;
  return packet;
}

export function packetType(packet: Uint8Array): number {
  return packet[TYPE_AT] as number;
}

export function packetData(packet: Uint8Array): Uint8Array {
  return packet.subarray(DATA_AT, packet.length - 1);
}

/** Without a checksum, as in a serial packet; undefined where the lengths do not fit. */
export function decodeRpc(bytes: Uint8Array): Rpc | undefined {
  const [command, length] = bytes;
  if (command === undefined || length !== bytes.length - 2) return undefined;
  return { command, data: bytes.subarray(2) };
}

/** A result's strings; those that no longer fit are left out. */
export function encodeRpc(command: number, strings: readonly string[]): Uint8Array {
  const fitting: { readonly text: string; readonly length: number }[] = [];
  let room = MAX_RPC_BYTES;
  for (const text of strings) {
    const length = utf8Length(text);
    if (length + 1 > room) break;
    fitting.push({ text, length });
    room -= length + 1;
  }
  const out = new Uint8Array(2 + MAX_RPC_BYTES - room);
  out[0] = command;
  out[1] = out.length - 2;
  let at = 2;
  for (const { text, length } of fitting) {
    out[at] = length;
    encodeUtf8(text, out, at + 1);
    at += 1 + length;
  }
  return out;
}

/** The strings of a command or a result; undefined where they do not end where the data ends, or are no UTF-8. */
export function decodeStrings(data: Uint8Array): readonly string[] | undefined {
  const strings: string[] = [];
  for (let at = 0; at < data.length; ) {
    const end = at + 1 + (data[at] as number);
    if (end > data.length) return undefined;
    const text = textOf(data, at + 1, end);
    if (text === undefined) return undefined;
    strings.push(text);
    at = end;
  }
  return strings;
}

/** As BLE has it: the checksum follows. */
export function withChecksum(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length + 1);
  out.set(bytes);
  out[bytes.length] = checksum(bytes);
  return out;
}

/** The low byte of the sum. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  return sum & 0xff;
}

function textOf(data: Uint8Array, start: number, end: number): string | undefined {
  try {
    return decodeUtf8(data, start, end);
  } catch (error) {
    if (error instanceof ProtocolViolation) return undefined;
    throw error;
  }
}
