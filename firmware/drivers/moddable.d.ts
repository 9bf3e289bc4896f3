/** What main.ts and the drivers use of the Moddable SDK, for checks without it; `npm run firmware` checks them against the SDK's own typings. */
// biome-ignore-all lint/style/noDefaultExport: these modules of the SDK have one.

declare module "mc/config" {
  const config: { [name: string]: unknown };

  export { config as default };
}

declare module "timer" {
  interface Timer {
    readonly brand?: boolean;
  }
  const Timer: {
    set(callback: () => void, interval?: number, repeat?: number): Timer;
    clear(timer: Timer | undefined | null): void;
  };

  export { Timer as default };
}

declare module "time" {
  const Time: {
    set(seconds: number): void;
    readonly ticks: number;
    delta(start: number, end?: number): number;
  };

  export { Time as default };
}

declare module "sntp" {
  class SNTP {
    static readonly time: 1;
    static readonly error: -1;
    constructor(options: { host: string }, callback: (message: number, value?: number) => void);
  }

  export { SNTP as default };
}

declare module "embedded:io/serial" {
  class Serial {
    constructor(options: {
      receive: number;
      transmit: number;
      baud: number;
      port: number;
      format: "buffer";
      onReadable(this: Serial, bytes: number): void;
      onWritable(this: Serial, bytes: number): void;
    });
    read(): number | ArrayBuffer | undefined;
    write(value: ArrayBuffer): void;
  }

  export { Serial as default };
}

declare module "embedded:io/digital" {
  class Digital {
    static readonly Input: number;
    static readonly InputPullUp: number;
    static readonly InputPullDown: number;
    static readonly Output: number;
    static readonly Rising: number;
    static readonly Falling: number;
    constructor(options: {
      pin: number;
      mode: number;
      initialValue?: 0 | 1;
      edge: number;
      onReadable(this: Digital): void;
    });
    constructor(options: { pin: number; mode: number; initialValue?: 0 | 1 });
    read(): 0 | 1;
    write(value: 0 | 1): void;
  }

  export { Digital as default };
}

declare module "embedded:storage/flash" {
  export interface Flash {
    close(): void;
    eraseBlock(start: number, end?: number): void;
    read(buffer: Uint8Array, byteOffset: number): number;
    write(buffer: Uint8Array, byteOffset: number): void;
    status(): { size: number; blockLength: number };
  }
  const FlashStorage: { open(options: { path: string; mode?: "r" | "r+" }): Flash };

  export { FlashStorage as default };
}

declare module "embedded:update" {
  import type { Flash } from "embedded:storage/flash";
  export interface Updater {
    close(): void;
    complete(): void;
    write(bytes: Uint8Array): void;
  }
  const Update: {
    open(options: { partition: Flash; mode?: "a" | "w"; byteLength?: number }): Updater;
  };

  export { Update as default };
}

declare module "embedded:network/interface/wifi" {
  class WiFi {
    constructor(options: { onChanged?: (property: "connection" | "address") => void });
    close(): void;
    scan(options: {
      onFound?: (result: { SSID: string; RSSI: number }) => void;
      onComplete?: () => void;
    }): void;
    connect(options: { SSID: string; password?: string }): void;
    disconnect(): void;
    readonly connection: number;
  }

  export { WiFi as default };
}

declare module "embedded:io/socket/tcp" {
  class TCP {
    close(): void;
  }

  export { TCP as default };
}

declare module "embedded:io/socket/udp" {
  class UDP {
    close(): void;
  }

  export { UDP as default };
}

declare module "embedded:io/socket/tcp/tls" {
  class TLSSocket {
    close(): void;
  }

  export { TLSSocket as default };
}

declare module "embedded:network/dns/resolver/udp" {
  class Resolver {
    close(): void;
  }

  export { Resolver as default };
}

declare module "embedded:network/mqtt/client" {
  class MQTTClient {
    static readonly CONNACK: 2;
    static readonly SUBSCRIBE: 8;
    constructor(options: {
      host: string;
      port?: number;
      user?: string;
      password?: string;
      id?: string;
      clean?: boolean;
      will?: unknown;
      keepAlive?: number;
      onControl?: (message: never) => void;
      onReadable?: (count: number, options: { more: boolean; topic?: string }) => void;
      onError?: (error: unknown) => void;
      dns: Record<string, unknown>;
      socket: Record<string, unknown>;
    });
    read(count: number): ArrayBuffer;
    write(data: Uint8Array, options: { topic: string; QoS?: number; retain?: boolean }): number;
    close(): void;
  }

  export { MQTTClient as default };
}

declare module "embedded:io/bluetoothle/peripheral" {
  interface GATTServerConnection {
    close(): void;
  }
  interface GATTServerCharacteristic {
    uuid: string;
    properties?: number;
    onRead?(this: GATTServerCharacteristic, connection: GATTServerConnection): ArrayBuffer;
    onWrite?(
      this: GATTServerCharacteristic,
      value: ArrayBuffer,
      connection: GATTServerConnection,
    ): void;
    onSubscribe?(this: GATTServerCharacteristic, connection: GATTServerConnection): void;
    onUnsubscribe?(this: GATTServerCharacteristic, connection: GATTServerConnection): void;
  }
  class GATTServer {
    constructor(options: {
      mtu?: number;
      services: { uuid: string; characteristics?: GATTServerCharacteristic[] }[];
      onReady?(this: GATTServer): void;
      onConnect?(this: GATTServer, connection: GATTServerConnection): void;
      onDisconnect?(this: GATTServer, connection: GATTServerConnection): void;
    });
    startAdvertising(scan: object, response?: object): void;
    stopAdvertising(): void;
    static readonly properties: { read: 2; notify: 16; write: 8; writeWithOutResponse: 4 };
  }

  export { GATTServer };
}

declare module "embedded:io/bluetoothle/central" {
  interface Advertisement {
    address: string;
    get name(): string | undefined;
  }
  class GAPClient {
    constructor(options: {
      services?: string[];
      onReadable?: (this: GAPClient, count: number) => void;
    });
    close(): void;
    read(): Advertisement;
  }
  interface GATTClientService {
    get uuid(): string;
  }
  interface GATTClientCharacteristic {
    get uuid(): string;
    get handle(): number;
  }
  class GATTClient {
    constructor(options: {
      address: string;
      onReady?: (this: GATTClient) => void;
      onError?: (this: GATTClient, error: Error) => void;
      onReadable?: (this: GATTClient, count: number) => void;
    });
    close(): void;
    getPrimaryServices(
      options: object,
      callback: (error: Error | null, services: GATTClientService[]) => void,
    ): void;
    getCharacteristics(
      service: GATTClientService,
      options: object,
      callback: (error: Error | null, characteristics: GATTClientCharacteristic[]) => void,
    ): void;
    read(): undefined | (ArrayBuffer & { handle: number });
    write(
      what: GATTClientCharacteristic,
      value: Uint8Array,
      options: { response?: boolean },
      callback?: (error: Error | null) => void,
    ): void;
    subscribe(characteristic: GATTClientCharacteristic, callback?: (error?: Error) => void): void;
    get maximumWrite(): number;
  }

  export { GAPClient, GATTClient };
}
