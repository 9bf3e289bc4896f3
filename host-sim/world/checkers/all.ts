/** Every promise that a world checks, by name. */
import { agreement } from "./agreement.ts";
import { bounds } from "./bounds.ts";
import { chainFacts } from "./chain-facts.ts";
import type { MakeChecker } from "./checker.ts";
import { credits } from "./credits.ts";
import { depth } from "./depth.ts";
import { devices } from "./devices.ts";
import { honestPeace } from "./honest-peace.ts";
import { keyIndices } from "./key-indices.ts";
import { ledger } from "./ledger.ts";
import { lightClient } from "./light-client.ts";
import { mirror } from "./mirror.ts";
import { nonces } from "./nonces.ts";
import { offlineBudget } from "./offline-budget.ts";
import { delays } from "./on-chain-rules.ts";
import { outcomes } from "./outcomes.ts";
import { punishment } from "./punishment.ts";
import { records } from "./records.ts";
import { revocations } from "./revocations.ts";
import { secrets } from "./secrets.ts";
import { signatures } from "./signatures.ts";
import { wealth } from "./wealth.ts";

export const CHECKERS: readonly (readonly [name: string, make: MakeChecker])[] = [
  ["records", records],
  ["secrets", secrets],
  ["signatures", signatures],
  ["credits", credits],
  ["honest-peace", honestPeace],
  ["bounds", bounds],
  ["agreement", agreement],
  ["wealth", wealth],
  ["punishment", punishment],
  ["mirror", mirror],
  ["ledger", ledger],
  ["outcomes", outcomes],
  ["key-indices", keyIndices],
  ["nonces", nonces],
  ["depth", depth],
  ["delays", delays],
  ["light-client", lightClient],
  ["chain-facts", chainFacts],
  ["revocations", revocations],
  ["devices", devices],
  ["offline-budget", offlineBudget],
];
