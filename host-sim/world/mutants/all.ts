/** Every deliberate bug that the checkers must notice, by name. */
import { CHAIN_MUTANTS } from "./chain.ts";
import { COMMITMENT_MUTANTS } from "./commitments.ts";
import { DEVICE_MUTANTS } from "./devices.ts";
import { GATEWAY_MUTANTS } from "./gateway.ts";
import type { Mutant } from "./mutant.ts";
import { PAYMENT_MUTANTS } from "./payments.ts";

export const MUTANTS: readonly Mutant[] = [
  ...COMMITMENT_MUTANTS,
  ...PAYMENT_MUTANTS,
  ...CHAIN_MUTANTS,
  ...GATEWAY_MUTANTS,
  ...DEVICE_MUTANTS,
];
