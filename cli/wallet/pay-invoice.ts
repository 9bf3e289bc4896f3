/** `picobolt pay <invoice>`, and `--machine <node id> --product <number>`: through the gateway, to a receiver that is nowhere near. */
import { milliSatoshi, type PublicKey, publicKey } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { targetOfInvoice } from "../../gateway/payments/bolt11.ts";
import { invoiceIn } from "../../gateway/payments/invoice-text.ts";
import type { Payment } from "../../gateway/payments/ledger.ts";
import type { PaymentTarget } from "../../gateway/payments/payer.ts";
import type { Context, Options } from "../command.ts";
import { text } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { openEndpoint } from "../links/endpoint.ts";
import { type Ended, walletNetwork } from "./invoice-payer.ts";
import { PayerNode } from "./payer-node.ts";
import { channelFor, connected, hex, numberOf } from "./purchase.ts";
import { openWallet, type Wallet } from "./wallet.ts";

const ANSWER_MS = 20_000;
/** Attempts end after a minute; one that a sleeping machine's gateway holds is waited for a little longer. */
const END_MS = 180_000;
/** The channel is to be at rest when the wallet ends: a gateway does not wait for ever for one that may not come back. */
const SETTLED_MS = 3_000;
const MSAT = 1_000;

/** One request at a time in a process that ends with it. */
const REQUEST = 1;

export async function payInvoice(
  context: Context,
  pasted: string | undefined,
  options: Options,
): Promise<void> {
  const { out, home, atEnd } = context;
  const crypto = chooseCrypto();
  const gatewayWords = text(options, "gateway");
  const wallet = await openWallet(
    crypto,
    text(options, "wallet") ?? `${home}/wallet`,
    text(options, "network"),
  );
  if (gatewayWords === undefined) {
    throw new Failure("name your gateway with --gateway <link>: it passes payments on", EXIT.usage);
  }
  const known = gatewayWords.includes("=") ? undefined : wallet.gateway;
  const words = known ? `${gatewayWords}=${known}` : gatewayWords;
  const gateway = await openEndpoint(context, words, "gateway");
  wallet.rememberGateway(hex(gateway.nodeId));
  const payer = await PayerNode.start(crypto, wallet, gateway.nodeId);
  atEnd(() => payer.stop());
  payer.device.attach(gateway.link, gateway.nodeId);
  await connected(payer, gateway.nodeId, gateway.name);

  await finishEarlier(context, payer);
  const invoice = pasted ?? (await invoiceOfMachine(payer, gateway.nodeId, options));
  const earlier = await payer.invoices.succeeded(invoice);
  if (earlier) {
    out.note("this invoice was paid before: nothing is paid again");
    tell(context, { payment: earlier });
    return;
  }
  const target = targetOf(invoice, wallet, options);
  const maxFeeSat = numberOf(options, "maxFee");
  const sat = (msat: number) => `${msat / MSAT} sat`;
  out.text(`${sat(target.amountMsat)} to ${hex(target.destination)}`);
  if (options.dryRun === true) {
    out.result({ dryRun: true, amount_msat: target.amountMsat, invoice });
    return;
  }
  const maxFeeMsat = maxFeeSat === undefined ? undefined : milliSatoshi(maxFeeSat * MSAT);
  const fundSat = numberOf(options, "fund");
  const withFee = target.amountMsat + (maxFeeMsat ?? Math.max(5_000, target.amountMsat / 200));
  const funding = { out, fundSat, gateway: gateway.nodeId };
  await channelFor(payer, gateway.nodeId, withFee, funding);
  const begun = await payer.invoices.pay(target, maxFeeMsat === undefined ? {} : { maxFeeMsat });
  const ended = begun.status === "pending" ? await endOf(payer, begun) : { payment: begun };
  await payer.until(() => isSettled(payer, gateway.nodeId) || undefined, SETTLED_MS);
  tell(context, ended);
  if (ended.payment.status === "failed") throw new Failure(`not paid: ${ended.reason}`);
}

/** What an earlier run began is ended before anything else is paid. */
async function finishEarlier(context: Context, payer: PayerNode): Promise<void> {
  const { underWay } = payer.invoices;
  if (underWay.length === 0) return;
  context.out.note(`${underWay.length} payment(s) of an earlier run are under way: these first`);
  for (const one of underWay) {
    const { payment, reason } = await endOf(payer, one);
    const why = reason === undefined ? "" : ` (${reason})`;
    context.out.note(`an earlier payment of ${hex(payment.paymentHash)}: ${payment.status}${why}`);
  }
}

function isSettled(payer: PayerNode, gateway: PublicKey): boolean {
  return payer.channelsWith(gateway).every(({ base, pending }) => {
    const updates = [...pending.localSigned, ...pending.localAcked];
    return base.htlcs.length + updates.length + pending.remoteSigned.length === 0;
  });
}

async function endOf(payer: PayerNode, { paymentHash }: Payment): Promise<Ended> {
  const hash = hex(paymentHash);
  const ended = await payer.until(() => payer.invoices.ended.get(hash), END_MS);
  if (ended) return ended;
  throw new Failure(
    `the payment ${hash} is still pending: nothing is lost, run the same command again; it is never paid twice`,
  );
}

function targetOf(invoice: string, wallet: Wallet, options: Options): PaymentTarget {
  const amountSat = numberOf(options, "amount");
  try {
    return targetOfInvoice(chooseCrypto(), invoiceIn(invoice), {
      network: walletNetwork(wallet),
      nowSeconds: Math.floor(Date.now() / 1000),
      ...(amountSat !== undefined && { amountMsat: milliSatoshi(amountSat * MSAT) }),
    });
  } catch (cause) {
    throw new Failure(`${messageOf(cause)} Nothing was paid.`, EXIT.refused, { cause });
  }
}

/** Asked for through the gateway, which cannot put its own in its place: it would be signed by another node. */
async function invoiceOfMachine(
  payer: PayerNode,
  gateway: PublicKey,
  options: Options,
): Promise<string> {
  const payee = publicKey(new Uint8Array(Buffer.from(text(options, "machine") ?? "", "hex")));
  const product = numberOf(options, "product");
  const { node } = payer.device;
  const asked = { request: REQUEST, payee, product, descriptionHash: undefined };
  node.sendService(gateway, { type: "bolt11_request", ...asked, amountMsat: undefined });
  const answer = await payer.until(() => payer.invoiceAnswer, ANSWER_MS);
  if (answer?.invoice === undefined) {
    const why = answer?.note ?? "the gateway does not answer";
    throw new Failure(`the machine gives no invoice: ${why}; nothing was paid`, EXIT.refused);
  }
  const { destination } = targetOf(answer.invoice, payer.wallet, {});
  if (equal(destination, payee)) return answer.invoice;
  throw new Failure(
    "the gateway gave another node's invoice for the machine's; nothing was paid, and it is not to be trusted",
    EXIT.refused,
  );
}

function tell({ out }: Context, { payment, reason }: Ended): void {
  const { status, feeMsat, amountMsat, paymentHash, preimage } = payment;
  const fee = feeMsat > 0 ? `, fee ${feeMsat / MSAT} sat` : "";
  out.text(`${status}${fee}`);
  out.result({
    status,
    payment_hash: hex(paymentHash),
    preimage: preimage ? hex(preimage) : null,
    amount_msat: amountMsat,
    fee_msat: feeMsat,
    failure: reason ?? null,
  });
}
