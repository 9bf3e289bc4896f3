/** How a machine lets a product out: the seam between selling and hardware; a maker puts his own behind it. */
import type { AppHost } from "./app.ts";
import type { Product } from "./product.ts";

export interface Delivery {
  /** Before the first sale: looks at its hardware. What it throws keeps the app from running. */
  start?(): Promise<void>;
  stop?(): void;
  /** Why nothing can come out now, for people; undefined where it can. Asked before readiness is announced. */
  fault?(): string | undefined;
  /** Lets it out; resolves when it was seen to come, rejects when it was not: then the money goes back. One at a time. */
  deliver(product: Product): Promise<void>;
  /**
   * Products that ever fell, by a counter that survives power cuts. Without one, what was being delivered when power
   * failed is paid back: the motor may be what brought the power down.
   */
  fallen?(): number | Promise<number>;
}

/** Where the delivery needs the board: made when the app starts. `changed`: what `fault` says may be another now. */
export type DeliveryMaker = (host: AppHost, changed: () => void) => Delivery;
