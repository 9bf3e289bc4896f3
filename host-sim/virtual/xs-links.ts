/** Inside XS: the drivers of a board's links, each a name for one that Node has (xs-host-links.ts). */
import type {
  BleConnection,
  BlePeripheralDriver,
  LinkDrivers,
  MqttConnection,
  MqttDriver,
  MqttEvents,
  SerialDriver,
} from "../../firmware/links/drivers.ts";
import { ask, askWith, onTold } from "./xs-ask.ts";

/** What the board has. */
export interface BoardLinks {
  /** Names of the UARTs. */
  readonly serial: readonly string[];
  readonly ble: boolean;
  readonly mqtt: boolean;
}

export function hostLinks({ serial, ble, mqtt }: BoardLinks): LinkDrivers {
  return {
    serial: serialDrivers(serial),
    ...(ble && { blePeripheral: blePeripheral() }),
    ...(mqtt && { mqtt: mqttDriver() }),
  };
}

function serialDrivers(names: readonly string[]): readonly SerialDriver[] {
  const drivers = names.map(
    (name, index): SerialDriver => ({
      name,
      write: (bytes) => void askWith(bytes, "serial.write", index),
      onBytes: () => {},
    }),
  );
  onTold("serial.bytes", ([index], bytes) => drivers[index as number]?.onBytes(bytes));
  return drivers;
}

function mqttDriver(): MqttDriver {
  const open = new Map<number, MqttEvents>();
  let last = 0;
  onTold("mqtt.connected", ([id]) => open.get(id as number)?.onConnected());
  onTold("mqtt.message", ([id, topic], payload) =>
    open.get(id as number)?.onMessage(topic as string, payload),
  );
  onTold("mqtt.closed", ([id, reason]) => {
    const events = open.get(id as number);
    open.delete(id as number);
    events?.onClosed(reason as string);
  });
  return {
    connect(options, events): MqttConnection {
      const id = ++last;
      open.set(id, events);
      ask("mqtt.connect", id, options);
      return {
        subscribe: (topic) => void ask("mqtt.subscribe", id, topic),
        publish: (topic, payload, retain) =>
          askWith(payload, "mqtt.publish", id, topic, retain) as boolean,
        close: () => {
          open.delete(id);
          ask("mqtt.close", id);
        },
      };
    },
  };
}

function blePeripheral(): BlePeripheralDriver {
  const connections = new Map<number, BleConnection>();
  const driver: BlePeripheralDriver = {
    advertise: (localName) => void ask("ble.advertise", localName),
    stopAdvertising: () => void ask("ble.stopAdvertising"),
    onConnected: () => {},
    improv: {
      setValue: (characteristic, value) => void askWith(value, "improv.set", characteristic),
      onCommand: () => {},
    },
  };
  onTold("ble.connected", ([id, address]) => {
    const connection = bleConnection(id as number, address as string);
    connections.set(id as number, connection);
    driver.onConnected(connection);
  });
  onTold("ble.bytes", ([id], bytes) => connections.get(id as number)?.onBytes(bytes));
  onTold("ble.writable", ([id]) => connections.get(id as number)?.onWritable());
  onTold("ble.closed", ([id, reason]) => {
    const connection = connections.get(id as number);
    connections.delete(id as number);
    connection?.onClosed(reason as string);
  });
  onTold("improv.command", (_words, bytes) => driver.improv?.onCommand(bytes));
  return driver;
}

function bleConnection(id: number, address: string): BleConnection {
  return {
    address,
    get maxWrite() {
      return ask("ble.maxWrite", id) as number;
    },
    send: (bytes) => askWith(bytes, "ble.send", id) as boolean,
    close: () => void ask("ble.close", id),
    onBytes: () => {},
    onWritable: () => {},
    onClosed: () => {},
  };
}
