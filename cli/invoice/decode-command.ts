/** Shows what a BOLT 11 invoice says, and draws its QR code, on the terminal or into a file. */
import { writeFileSync } from "node:fs";
import { parseInvoice } from "../../core/payments/invoice/parse-invoice.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { invoiceIn } from "../../gateway/payments/invoice-text.ts";
import { type Context, type Options, text } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { invoiceJson, invoiceLines } from "./invoice-view.ts";

export async function decode(
  { out }: Context,
  [pasted = ""]: readonly string[],
  options: Options,
): Promise<void> {
  const given = invoiceIn(pasted);
  const crypto = chooseCrypto();
  const parsed = await refusing(() => parseInvoice(crypto, given));
  const nowSeconds = Math.floor(Date.now() / 1000);
  await drawQr(out, given, options);
  for (const line of invoiceLines(crypto, parsed, nowSeconds)) out.text(line);
  out.result(invoiceJson(crypto, parsed, nowSeconds));
}

/** `--qr` and `--qr-file`; nothing without. */
export async function drawQr(out: Context["out"], given: string, options: Options): Promise<void> {
  const file = text(options, "qrFile");
  if (!options.qr && file === undefined) return;
  const { qrSvg, qrTerminal } = await import("../../gateway/payments/qr.ts");
  if (options.qr && !out.isJson) out.text(await refusing(() => qrTerminal(given)));
  if (file === undefined) return;
  const svg = await refusing(() => qrSvg(given));
  try {
    writeFileSync(file, svg);
  } catch (cause) {
    throw new Failure(`the QR code was not written to ${file}: ${messageOf(cause)}`);
  }
  out.note(`the QR code is in ${file}`);
}

async function refusing<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new Failure(messageOf(cause), EXIT.refused, { cause });
  }
}
