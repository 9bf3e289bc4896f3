/** The pushes of each channel since the gateway's start, in bounds: what came in, what went out, and what is settled. */
import type { Static } from "@sinclair/typebox";
import type { EventHub } from "../run/event-hub.ts";
import type { ChannelPayment } from "./shapes/channels.ts";

export type PushJson = Static<typeof ChannelPayment>;

interface ToldPayment {
  readonly reference: string;
  readonly amountMsat: number;
}

const MAX_PUSHES = 20_000;

export class PushLog {
  /** By channel and reference, the oldest first. */
  private readonly pushes = new Map<string, { channelId: string; push: PushJson }>();

  constructor(events: EventHub) {
    events.follow(({ at, event }) => {
      if (event.type !== "channel") return;
      const channelId = event.channel_id as string;
      const told = event.event as { readonly type: string; readonly payments?: ToldPayment[] };
      const payments = told.payments ?? [];
      const put = (direction: PushJson["direction"], state: PushJson["state"]) => {
        for (const { reference, amountMsat } of payments) {
          this.put(channelId, { reference, direction, amount_msat: amountMsat, state, at });
        }
      };
      if (told.type === "pushCommitted") put("sent", "pending");
      if (told.type === "pushSettled") put("sent", "succeeded");
      if (told.type === "pushReceived") put("received", "succeeded");
    });
  }

  /** Newest first. */
  list(channelId: string, limit: number): readonly PushJson[] {
    const all = [...this.pushes.values()].filter((one) => one.channelId === channelId);
    return all
      .map(({ push }) => push)
      .reverse()
      .slice(0, limit);
  }

  private put(channelId: string, push: PushJson): void {
    const key = `${channelId} ${push.direction} ${push.reference}`;
    const at = this.pushes.get(key)?.push.at ?? push.at;
    this.pushes.set(key, { channelId, push: { ...push, at } });
    if (this.pushes.size <= MAX_PUSHES) return;
    this.pushes.delete(this.pushes.keys().next().value as string);
  }
}
