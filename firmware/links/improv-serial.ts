/** Improv on a serial line, as web flashers speak it (improv-wifi.com/serial, version 1). */
import { ImprovDesk, type ImprovHost, type ImprovLine, SEND_WIFI } from "./improv.ts";
import {
  decodeRpc,
  encodeImprovPacket,
  encodeRpc,
  ImprovError,
  ImprovState,
  PacketType,
  packetData,
  packetType,
} from "./improv-packet.ts";

const REQUEST_STATE = 2;
const DEVICE_INFO = 3;
const SCAN = 4;

/** Answers the packets that a serial port's splitter finds. */
export class ImprovSerial {
  private readonly desk: ImprovDesk;
  private readonly line: ImprovLine;

  constructor(
    host: ImprovHost | ImprovDesk,
    private readonly write: (bytes: Uint8Array) => void,
  ) {
    this.desk = host instanceof ImprovDesk ? host : new ImprovDesk(host);
    this.line = {
      // The serial protocol has no "authorization required": the refusal comes with the attempt.
      state: (state) => {
        const shown = state === ImprovState.authorizationRequired ? ImprovState.authorized : state;
        this.packet(PacketType.state, Uint8Array.of(shown));
      },
      error: (error) => this.packet(PacketType.error, Uint8Array.of(error)),
      result: (command, strings) => this.packet(PacketType.result, encodeRpc(command, strings)),
    };
    this.desk.add(this.line);
  }

  receive(packet: Uint8Array): void {
    if (packetType(packet) !== PacketType.command) return;
    const { line, desk } = this;
    const rpc = decodeRpc(packetData(packet));
    if (!rpc) {
      line.error(ImprovError.invalidCommand);
      return;
    }
    line.error(ImprovError.none);
    switch (rpc.command) {
      case SEND_WIFI:
        desk.sendWifi(line, rpc);
        break;
      case REQUEST_STATE:
        line.state(desk.state);
        // As after provisioning, but under this command's number: web flashers wait for that.
        if (desk.state === ImprovState.provisioned) line.result(rpc.command, []);
        break;
      case DEVICE_INFO:
        line.result(rpc.command, desk.host.info());
        break;
      case SCAN:
        this.scan();
        break;
      default:
        line.error(ImprovError.unknownCommand);
    }
  }

  /** A result for each network, and an empty one at the end. */
  private scan(): void {
    this.desk.scan((networks) => {
      for (const { ssid, rssi, isOpen } of networks) {
        this.line.result(SCAN, [ssid, String(rssi), isOpen ? "NO" : "YES"]);
      }
      this.line.result(SCAN, []);
    });
  }

  private packet(type: PacketType, data: Uint8Array): void {
    this.write(encodeImprovPacket(type, data));
  }
}
