/** What happens in the gateway, for everybody who follows: the log, the metrics, the API's streams. */

/** Plain JSON; `type` first. Amounts are numbers in the unit of their name, bytes hexadecimal. */
export interface GatewayEvent {
  readonly type:
    | "channel"
    | "peer"
    | "block"
    | "published"
    | "device-funded"
    | "presence"
    | "discovered"
    | "tower"
    | "payment"
    | "invoice"
    | "device-request"
    | "sale"
    | "rollout"
    | "alarm"
    | "missed";
  readonly [field: string]: unknown;
}

/** Numbered, so that who was away for a moment can ask for what it missed. */
export interface NumberedEvent {
  readonly id: number;
  readonly at: string;
  readonly event: GatewayEvent;
}

type Listener = (event: NumberedEvent) => void;

/** Events that are kept for those who come back. */
const KEPT_EVENTS = 1_000;

export class EventHub {
  private readonly listeners = new Set<Listener>();
  private readonly kept: NumberedEvent[] = [];
  private lastId = 0;

  emit(event: GatewayEvent): void {
    this.lastId += 1;
    const numbered = { id: this.lastId, at: new Date().toISOString(), event };
    this.kept.push(numbered);
    if (this.kept.length > KEPT_EVENTS) this.kept.shift();
    for (const listener of this.listeners) listener(numbered);
  }

  /** Returns the way out. */
  follow(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** What came after that number, as far as it is kept. */
  since(id: number): readonly NumberedEvent[] {
    return this.kept.filter((one) => one.id > id);
  }
}
