/** Finds the invoice in what people paste: "lightning:", "bitcoin:…?lightning=…", or the invoice alone (BOLT 11; BIP 21). */

/** What is no such thing comes back as it is: the parser says what is wrong with it. */
export function invoiceIn(pasted: string): string {
  const text = pasted.trim();
  const [scheme = "", ...rest] = text.split(":");
  if (rest.length === 0) return text;
  const after = rest.join(":");
  switch (scheme.toLowerCase()) {
    case "lightning":
      return after.startsWith("//") ? after.slice(2) : after;
    case "bitcoin":
      return inBitcoinUri(after) ?? text;
    default:
      return text;
  }
}

/** Wallets write the key in either case, as whole addresses are in capitals for QR codes. */
function inBitcoinUri(after: string): string | undefined {
  for (const [key, value] of new URLSearchParams(after.split("?")[1] ?? "")) {
    if (key.toLowerCase() === "lightning") return value;
  }
  return undefined;
}
