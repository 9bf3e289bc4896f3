/** Improv's service in the GATT server: four values that are read and watched, and one that takes commands (improv-wifi.com/ble). */
import { GATTServer } from "embedded:io/bluetoothle/peripheral";
import type { BleImprovDriver } from "../links/drivers.ts";
import {
  IMPROV_CAPABILITIES,
  IMPROV_COMMAND,
  IMPROV_ERROR,
  IMPROV_RESULT,
  IMPROV_SERVICE,
  IMPROV_STATE,
} from "../links/improv-ble.ts";
import type { Central, Characteristic } from "./ble-peripheral.ts";
import { type BleRadio, exact } from "./ble-radio.ts";

type Service = ConstructorParameters<typeof GATTServer>[0]["services"][number];
type Options = NonNullable<Service["characteristics"]>[number];

interface Value {
  bytes: Uint8Array;
  /** The server's own object, which a notification names. */
  characteristic: Characteristic | undefined;
  readonly watchers: Set<Central>;
}

export class ImprovService implements BleImprovDriver {
  onCommand: (bytes: Uint8Array) => void = () => {};
  readonly service: Service;
  private readonly values = new Map<string, Value>();

  constructor(
    private readonly radio: BleRadio,
    /** Both go into the advertisement. */
    private readonly onState: (state: number | undefined, capabilities: number) => void,
  ) {
    const { write, writeWithOutResponse } = GATTServer.properties;
    const command: Options = {
      uuid: IMPROV_COMMAND,
      properties: write | writeWithOutResponse,
      onWrite: (value) => this.onCommand(new Uint8Array(value)),
    };
    const watched = [IMPROV_STATE, IMPROV_ERROR, IMPROV_RESULT].map((uuid) => this.watched(uuid));
    const characteristics = [...watched, this.readable(IMPROV_CAPABILITIES), command];
    this.service = { uuid: IMPROV_SERVICE, characteristics };
  }

  setValue(uuid: string, bytes: Uint8Array): void {
    const value = this.values.get(uuid);
    if (!value) throw new Error(`Improv has no characteristic ${uuid}`);
    value.bytes = bytes.slice();
    for (const central of [...value.watchers]) this.notify(value, central);
    if (uuid !== IMPROV_STATE && uuid !== IMPROV_CAPABILITIES) return;
    const first = (of: string) => this.values.get(of)?.bytes[0];
    this.onState(first(IMPROV_STATE), first(IMPROV_CAPABILITIES) ?? 0);
  }

  /** It has disconnected. */
  forget(central: Central): void {
    for (const { watchers } of this.values.values()) watchers.delete(central);
  }

  private readable(uuid: string): Options {
    const value: Value = {
      bytes: new Uint8Array(0),
      characteristic: undefined,
      watchers: new Set(),
    };
    this.values.set(uuid, value);
    const { read } = GATTServer.properties;
    return { uuid, properties: read, onRead: () => exact(value.bytes) };
  }

  private watched(uuid: string): Options {
    const readable = this.readable(uuid);
    const value = this.values.get(uuid) as Value;
    const { read, notify } = GATTServer.properties;
    return {
      ...readable,
      properties: read | notify,
      onSubscribe(central) {
        value.characteristic = this;
        value.watchers.add(central);
      },
      onUnsubscribe(central: unknown) {
        value.watchers.delete(central as Central);
      },
    };
  }

  private notify({ characteristic, bytes, watchers }: Value, central: Central): void {
    try {
      this.radio.bleNotify.call(central, characteristic, exact(bytes));
    } catch {
      // It can still read the value.
      watchers.delete(central);
    }
  }
}
