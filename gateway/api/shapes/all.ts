/** Every operation of the API by name: what the client's types and the documents are made from. */
import { backupShapes } from "./backup.ts";
import { channelShapes } from "./channels.ts";
import { deviceShapes } from "./devices.ts";
import { fleetShapes } from "./fleet.ts";
import { macaroonShapes } from "./macaroons.ts";
import { nodeShapes } from "./node.ts";
import { paymentShapes } from "./payments.ts";
import { settlementShapes } from "./settlement.ts";
import { walletShapes } from "./wallet.ts";

export const SHAPES = {
  ...nodeShapes,
  ...channelShapes,
  ...walletShapes,
  ...paymentShapes,
  ...deviceShapes,
  ...settlementShapes,
  ...fleetShapes,
  ...backupShapes,
  ...macaroonShapes,
} as const;

export type Shapes = typeof SHAPES;
export type OperationName = keyof Shapes;
