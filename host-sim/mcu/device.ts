/** What the emulated microcontroller runs: the firmware's own program on its board, or its crypto alone for a test. */
import { equal } from "../../core/primitives/bytes.ts";
import type { Image } from "../../firmware/board.ts";
import { noNodeId } from "../../firmware/boot/card.ts";
import { nativeCrypto } from "../../firmware/crypto/native.ts";
import {
  type Program,
  type ProgramEvents,
  recordCrash,
  startProgram,
} from "../../firmware/program.ts";
import { type McuBoard, openBoard } from "./board.ts";
import { cryptoService } from "./crypto-service.ts";
import "./natives.ts";
import { wantsCryptoAlone } from "./straps.ts";

const IMAGE: Image = { version: "0.2.0", number: 1, network: "regtest" };

/** What the platform's loop calls. */
export interface Running {
  onBytes(bytes: ArrayBuffer): void;
  tick(nowMs: number): void;
  /** Nothing is to be done; true: it wants to be called again. */
  idle(): boolean;
}

/** Its functions lie in flash. */
const crypto = nativeCrypto(picoboltNative);

/** Called by the platform once the machine has come up. */
export function start(): Running {
  if (wantsCryptoAlone(new Uint8Array(picoboltBoard.settings()))) {
    const receive = cryptoService(
      crypto,
      (bytes, previous) => picoboltBoard.crc32(bytes, previous),
      (bytes) => picoboltBoard.uartWrite(bytes),
    );
    return {
      onBytes: (bytes) => receive(new Uint8Array(bytes)),
      tick: () => {},
      idle: () => false,
    };
  }
  const board = openBoard(crypto);
  startProgram(board, IMAGE, told(board))
    .then((program) => started(board, program))
    .catch((cause: unknown) => crash(board, cause));
  return {
    onBytes: (bytes) => noting(board, () => board.uart.onBytes(new Uint8Array(bytes))),
    tick: (nowMs) => noting(board, () => board.clock.tick(nowMs)),
    idle: () => noting(board, () => board.idle()),
  };
}

function started({ system }: McuBoard, program: Program): void {
  const isFaulty = equal(program.nodeId, noNodeId());
  // Once more: memory may have been short. What fails twice stays off, without its keys.
  if (isFaulty && system.resetReason === "power") system.restart();
  system.print(isFaulty ? "faulty" : "ready");
}

/** Lines on its console, for whoever watches. */
function told({ system }: McuBoard): ProgramEvents {
  return {
    onChannelEvent: (_id, event) => system.print(`channel ${event.type}`),
    onApp: (event) => system.print(`app ${event.type}`),
    onPeer: (_peer, state, reason) => system.print(`peer ${state} ${reason ?? ""}`),
    onAlarm: (text) => system.print(`alarm ${text}`),
  };
}

/** Nobody catches what is thrown here: the platform starts the machine again, and its log says why. */
function noting<T>(board: McuBoard, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    recordCrash(board, cause);
    throw cause;
  }
}

function crash(board: McuBoard, cause: unknown): void {
  recordCrash(board, cause);
  board.system.restart();
}
