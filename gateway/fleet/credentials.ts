/** Devices' passwords at mosquitto: given at a claim, taken back at a revocation, and the broker told to read them again. */
import { readFileSync } from "node:fs";
import { topicName } from "../../core/transport/mqtt-topics.ts";
import { changeBrokerUsers } from "./broker-config.ts";
import type { JsonObject } from "./fleet-types.ts";

export interface BrokerAccess {
  /** What goes into the device's setting `mqtt`. */
  grant(nodeId: string): JsonObject;
  /** True where it had some. */
  revoke(nodeId: string): boolean;
}

export interface BrokerFilesOptions {
  /** That `picobolt broker-config` wrote. */
  readonly folder: string;
  /** The gateway's name in topics. */
  readonly gateway: string;
  /** Holds the broker's process id; without it somebody else has it read its files again. */
  readonly pidFile?: string;
  onProblem(text: string): void;
}

export class BrokerFiles implements BrokerAccess {
  constructor(private readonly options: BrokerFilesOptions) {}

  grant(nodeId: string): JsonObject {
    const { folder, gateway } = this.options;
    const name = topicName(nodeId);
    const { isChanged, settings } = changeBrokerUsers({ folder, gateway, add: [name], revoke: [] });
    if (isChanged) this.reload();
    return settings.get(name) as JsonObject;
  }

  revoke(nodeId: string): boolean {
    const { folder, gateway } = this.options;
    const name = topicName(nodeId);
    const { isChanged } = changeBrokerUsers({ folder, gateway, add: [], revoke: [name] });
    if (isChanged) this.reload();
    return isChanged;
  }

  /** mosquitto reads its passwords again, and lets go whoever has none any more. */
  private reload(): void {
    const { pidFile, onProblem, folder } = this.options;
    if (pidFile === undefined) {
      onProblem(`${folder}: passwords changed; have the broker read them again (SIGHUP)`);
      return;
    }
    try {
      const pid = Number(readFileSync(pidFile, "utf8").trim());
      if (!Number.isSafeInteger(pid) || pid < 2) throw new Error(`${pidFile} holds no process id`);
      process.kill(pid, "SIGHUP");
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      onProblem(`the broker could not be told of changed passwords (${reason}): send it SIGHUP`);
    }
  }
}
