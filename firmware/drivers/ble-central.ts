/** The central side (`embedded:io/bluetoothle/central`): finds peripherals with the Nordic UART service and connects to one. */
import { GAPClient, GATTClient } from "embedded:io/bluetoothle/central";
import type { Clock } from "../board.ts";
import {
  type BleCentralDriver,
  type BleConnection,
  NUS_RX,
  NUS_SERVICE,
  NUS_TX,
} from "../links/drivers.ts";

const CONNECT_TIMEOUT_MS = 15_000;
/** Writes that wait in the client: each is a response's round trip away from the next. */
export const MAX_WRITES = 4;
const LEAST_WRITE_BYTES = 20;

type Found = Parameters<Parameters<GATTClient["getCharacteristics"]>[2]>[1][number];

export function bleCentral(clock: Clock): BleCentralDriver {
  return {
    scan(onFound) {
      const seen = new Set<string>();
      const scanner = new GAPClient({
        services: [NUS_SERVICE],
        onReadable(count) {
          for (let i = 0; i < count; i++) {
            const advertisement = this.read();
            if (!advertisement || seen.has(advertisement.address)) continue;
            seen.add(advertisement.address);
            onFound({ address: advertisement.address, name: advertisement.name ?? "" });
          }
        },
      });
      let isScanning = true;
      return () => {
        if (isScanning) scanner.close();
        isScanning = false;
      };
    },
    connect: (address) => connect(address, clock),
  };
}

function connect(address: string, clock: Clock): Promise<BleConnection> {
  return new Promise((resolve, reject) => {
    let connection: Connection | undefined;
    const fail = (reason: string) => {
      cancel();
      client.close();
      if (connection) connection.ended(reason);
      else reject(new Error(`no connection to ${address}: ${reason}`));
    };
    const cancel = clock.after(CONNECT_TIMEOUT_MS, () => fail("it did not answer in time"));
    const client = new GATTClient({
      address,
      onError: (error) => fail(error?.message ?? "the connection was lost"),
      onReadable(count) {
        for (let i = 0; i < count; i++) {
          const value = this.read();
          if (value && connection?.isTx(value.handle)) connection.onBytes(new Uint8Array(value));
        }
      },
      onReady: () =>
        findUart(client, fail, (rx, tx) => {
          const made = new Connection(address, client, rx, tx);
          client.subscribe(tx, (error) => {
            if (error) return fail("it refuses notifications");
            cancel();
            connection = made;
            resolve(made);
          });
        }),
    });
  });
}

function findUart(
  client: GATTClient,
  fail: (reason: string) => void,
  onFound: (rx: Found, tx: Found) => void,
): void {
  client.getPrimaryServices([NUS_SERVICE], (error, services) => {
    const service = services?.[0];
    if (error || !service) return fail("it has no Nordic UART service");
    client.getCharacteristics(service, [NUS_RX, NUS_TX], (failed, characteristics) => {
      const named = (uuid: string) =>
        characteristics?.find((one) => one.uuid.toLowerCase() === uuid);
      const rx = named(NUS_RX);
      const tx = named(NUS_TX);
      if (failed || !rx || !tx) return fail("its Nordic UART service is incomplete");
      onFound(rx, tx);
    });
  });
}

class Connection implements BleConnection {
  onBytes: (bytes: Uint8Array) => void = () => {};
  onWritable: () => void = () => {};
  onClosed: (reason: string) => void = () => {};
  private waiting = 0;
  private isFull = false;
  private isOpen = true;

  constructor(
    readonly address: string,
    private readonly client: GATTClient,
    private readonly rx: Found,
    private readonly tx: Found,
  ) {}

  get maxWrite(): number {
    return this.isOpen ? Math.max(LEAST_WRITE_BYTES, this.client.maximumWrite) : LEAST_WRITE_BYTES;
  }

  isTx(handle: number): boolean {
    return handle === this.tx.handle;
  }

  send(bytes: Uint8Array): boolean {
    if (!this.isOpen) return false;
    if (this.waiting >= MAX_WRITES) {
      this.isFull = true;
      return false;
    }
    this.waiting += 1;
    this.client.write(this.rx, bytes.slice(), { response: true }, (error) => {
      this.waiting -= 1;
      if (error) return this.close();
      if (!this.isFull) return;
      this.isFull = false;
      this.onWritable();
    });
    return true;
  }

  close(): void {
    if (!this.isOpen) return;
    this.client.close();
    this.ended("closed here");
  }

  ended(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.onClosed(reason);
  }
}
