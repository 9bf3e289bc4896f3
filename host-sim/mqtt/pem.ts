/** Certificates as Node takes them: boards may hold the same in DER (RFC 7468). */

const BEGIN = "-----BEGIN";

export function pemOf(certificate: Uint8Array): string {
  const bytes = Buffer.from(certificate);
  if (bytes.subarray(0, BEGIN.length).toString("latin1") === BEGIN) return bytes.toString("latin1");
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return `${BEGIN} CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
