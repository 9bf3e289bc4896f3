/** In Node: the drivers that the program in XS uses by their numbers, and what comes from them. */
import type {
  BleConnection,
  LinkDrivers,
  MqttConnection,
  MqttOptions,
} from "../../firmware/links/drivers.ts";
import type { Ports, Tell } from "./xs-host-ports.ts";

export function linkPorts(links: LinkDrivers, tell: Tell): Ports {
  const { serial = [], blePeripheral, mqtt } = links;
  return {
    ...serialPorts(serial, tell),
    ...(mqtt && mqttPorts(mqtt, tell)),
    ...(blePeripheral && blePorts(blePeripheral, tell)),
  };
}

function serialPorts(drivers: NonNullable<LinkDrivers["serial"]>, tell: Tell): Ports {
  for (const [index, driver] of drivers.entries()) {
    driver.onBytes = (bytes) => tell(["serial.bytes", index], bytes);
  }
  return {
    "serial.write": ([index]: [number], bytes) => drivers[index]?.write(bytes),
  };
}

function mqttPorts(driver: NonNullable<LinkDrivers["mqtt"]>, tell: Tell): Ports {
  const open = new Map<number, MqttConnection>();
  return {
    "mqtt.connect": ([id, options]: [number, MqttOptions]) => {
      const connection = driver.connect(options, {
        onConnected: () => tell(["mqtt.connected", id]),
        onMessage: (topic, payload) => tell(["mqtt.message", id, topic], payload),
        onClosed: (reason) => {
          open.delete(id);
          tell(["mqtt.closed", id, reason]);
        },
      });
      open.set(id, connection);
    },
    // One that has closed meanwhile: the program will hear of it.
    "mqtt.subscribe": ([id, topic]: [number, string]) => open.get(id)?.subscribe(topic),
    "mqtt.publish": ([id, topic, retain]: [number, string, boolean], payload) =>
      open.get(id)?.publish(topic, payload, retain) ?? false,
    "mqtt.close": ([id]: [number]) => {
      open.get(id)?.close();
      open.delete(id);
    },
  };
}

function blePorts(driver: NonNullable<LinkDrivers["blePeripheral"]>, tell: Tell): Ports {
  const open = new Map<number, BleConnection>();
  let last = 0;
  driver.onConnected = (connection) => {
    const id = ++last;
    open.set(id, connection);
    connection.onBytes = (bytes) => tell(["ble.bytes", id], bytes);
    connection.onWritable = () => tell(["ble.writable", id]);
    connection.onClosed = (reason) => {
      open.delete(id);
      tell(["ble.closed", id, reason]);
    };
    tell(["ble.connected", id, connection.address]);
  };
  const { improv } = driver;
  if (improv) improv.onCommand = (bytes) => tell(["improv.command"], bytes);
  return {
    "ble.advertise": ([name]: [string]) => driver.advertise(name),
    "ble.stopAdvertising": () => driver.stopAdvertising(),
    // As the least MTU gives, where the connection is over already.
    "ble.maxWrite": ([id]: [number]) => open.get(id)?.maxWrite ?? 20,
    "ble.send": ([id]: [number], bytes) => open.get(id)?.send(bytes) ?? false,
    "ble.close": ([id]: [number]) => open.get(id)?.close(),
    "improv.set": ([characteristic]: [string], value) => improv?.setValue(characteristic, value),
  };
}
