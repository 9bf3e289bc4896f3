/** The table: every operation with what it does. */
import type { ApiHost } from "../host.ts";
import type { AnyOperation } from "../operation.ts";
import { backupOperations } from "./backup.ts";
import { channelPaymentOperations } from "./channel-payments.ts";
import { channelOperations } from "./channels.ts";
import { deviceOperations } from "./devices.ts";
import { fleetOperations } from "./fleet.ts";
import { invoiceOperations } from "./invoices.ts";
import { macaroonOperations } from "./macaroons.ts";
import { nodeOperations } from "./node.ts";
import { paymentOperations } from "./payments.ts";
import { settlementOperations } from "./settlement.ts";
import { walletOperations } from "./wallet.ts";

export function allOperations(host: ApiHost): readonly AnyOperation[] {
  return [
    ...nodeOperations(host),
    ...channelOperations(host),
    ...channelPaymentOperations(host),
    ...walletOperations(host),
    ...invoiceOperations(host),
    ...paymentOperations(host),
    ...deviceOperations(host),
    ...settlementOperations(host),
    ...fleetOperations(host),
    ...backupOperations(host),
    ...macaroonOperations(host),
  ];
}
