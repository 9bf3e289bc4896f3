/** The client's side of Improv on a serial line (improv-wifi.com/serial, version 1): asks a device that nobody owns for networks, and gives it one. */
import type { Link } from "../../core/ports/link.ts";
import {
  decodeRpc,
  decodeStrings,
  encodeImprovPacket,
  encodeRpc,
  ImprovError,
  ImprovState,
  PacketType,
  packetData,
  packetType,
} from "../../firmware/links/improv-packet.ts";
import { ImprovSplitter } from "../../firmware/links/serial-link.ts";
import { EXIT, Failure } from "../failure.ts";
import { deadline } from "./deadline.ts";

export interface SeenNetwork {
  readonly ssid: string;
  /** dBm. */
  readonly rssi: number;
  readonly isOpen: boolean;
}

const SEND_WIFI = 1;
const REQUEST_STATE = 2;
const SCAN = 4;
const STATE_TIMEOUT_MS = 10_000;
const SCAN_TIMEOUT_MS = 20_000;
/** A device gives up by itself after 40 s. */
const JOIN_TIMEOUT_MS = 50_000;
const MAX_SSID_BYTES = 32;
const MAX_PASSWORD_BYTES = 64;

/** Why the device said no, for whoever stands before it. */
const REFUSALS: Readonly<Record<number, string>> = {
  [ImprovError.invalidCommand]: "it did not understand the request; is its firmware older?",
  [ImprovError.unknownCommand]: "it does not know this request",
  [ImprovError.unableToConnect]:
    "it could not join; is the password right, and the network in reach (2.4 GHz)?",
  [ImprovError.notAuthorized]: "it has an owner, who alone sets its network",
};

interface Waiting {
  readonly command: number;
  onStrings(strings: readonly string[]): void;
  onError(error: number): void;
}

export class ImprovClient {
  private waiting: Waiting | undefined;
  private onStateOnce: (state: number) => void = () => {};

  /** Takes the link over; a session may take it afterwards. */
  constructor(private readonly link: Link) {
    const splitter = new ImprovSplitter(
      () => {},
      (packet) => this.receive(packet),
    );
    link.onBytes = (bytes) => splitter.push(bytes);
  }

  /** Whether it is on a network already. Throws a Failure where nobody speaks Improv. */
  async isProvisioned(): Promise<boolean> {
    const state = new Promise<number>((resolve) => {
      this.onStateOnce = resolve;
    });
    this.send(REQUEST_STATE, []);
    const silence = "it takes no Wi-Fi settings on this line (Improv); has this board Wi-Fi?";
    return (await inTime(state, STATE_TIMEOUT_MS, silence)) === ImprovState.provisioned;
  }

  /** In the device's order: strongest first. */
  async networks(): Promise<readonly SeenNetwork[]> {
    const found: SeenNetwork[] = [];
    const all = this.call(SCAN, [], ([ssid, rssi, secured]) => {
      if (ssid === undefined) return true;
      found.push({ ssid, rssi: Number(rssi), isOpen: secured === "NO" });
      return false;
    });
    await inTime(all, SCAN_TIMEOUT_MS, "it began to look for networks and never ended");
    return found;
  }

  /** Returns when it has joined; the device's page, where it has one. */
  async join(ssid: string, password: string): Promise<string | undefined> {
    let url: string | undefined;
    const joined = this.call(SEND_WIFI, [ssid, password], (strings) => {
      url = strings[0] || undefined;
      return true;
    });
    await inTime(joined, JOIN_TIMEOUT_MS, `it tries to join ${ssid} and says no more`);
    return url;
  }

  private call(
    command: number,
    strings: readonly string[],
    isLast: (strings: readonly string[]) => boolean,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting = {
        command,
        onStrings: (one) => {
          if (isLast(one)) resolve();
        },
        onError: (error) => {
          const why = REFUSALS[error] ?? `error ${error}`;
          reject(new Failure(`the device did not do it: ${why}`, EXIT.refused));
        },
      };
      this.send(command, strings);
    });
  }

  private send(command: number, strings: readonly string[]): void {
    this.link.send(encodeImprovPacket(PacketType.command, encodeRpc(command, strings)));
  }

  private receive(packet: Uint8Array): void {
    const data = packetData(packet);
    const [first = 0] = data;
    switch (packetType(packet)) {
      case PacketType.state:
        this.onStateOnce(first);
        return;
      case PacketType.error:
        if (first !== ImprovError.none) this.waiting?.onError(first);
        return;
      case PacketType.result: {
        const rpc = decodeRpc(data);
        const strings = rpc && decodeStrings(rpc.data);
        if (strings && rpc.command === this.waiting?.command) this.waiting.onStrings(strings);
        return;
      }
    }
  }
}

/** Before anything is opened: Improv carries no more, and Wi-Fi has no more. */
export function checkWifi(ssid: string, password: string): void {
  const check = (what: string, words: string, maxBytes: number) => {
    const { length } = new TextEncoder().encode(words);
    if (length <= maxBytes) return;
    throw new Failure(`the ${what} has ${length} bytes, Wi-Fi takes ${maxBytes}`, EXIT.usage);
  };
  if (ssid === "") throw new Failure("the network's name is empty", EXIT.usage);
  check("network's name", ssid, MAX_SSID_BYTES);
  check("password", password, MAX_PASSWORD_BYTES);
}

async function inTime<T>(work: Promise<T>, timeoutMs: number, silence: string): Promise<T> {
  let cancel = () => {};
  const late = new Promise<never>((_, reject) => {
    const failure = new Failure(`the device answers, but ${silence}`, EXIT.noAnswer);
    cancel = deadline(timeoutMs, () => reject(failure));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    cancel();
  }
}
