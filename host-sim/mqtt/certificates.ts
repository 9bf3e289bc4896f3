/** An authority and a server's certificate for 127.0.0.1, made by openssl: for brokers of tests. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificates {
  /** PEM. */
  readonly ca: Uint8Array;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

const EC_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Writes them into `folder`. */
export function makeCertificates(folder: string): Certificates {
  const at = (name: string) => join(folder, name);
  const openssl = (...words: string[]) => execFileSync("openssl", words, { stdio: "pipe" });
  openssl(
    ...["req", "-x509", ...EC_KEY, "-days", "30", "-subj", "/CN=picobolt test authority"],
    ...["-keyout", at("ca.key"), "-out", at("ca.pem")],
  );
  openssl(
    ...["req", ...EC_KEY, "-subj", "/CN=localhost"],
    ...["-keyout", at("server.key"), "-out", at("server.csr")],
  );
  writeFileSync(at("server.ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  openssl(
    ...["x509", "-req", "-in", at("server.csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key")],
    ...["-CAcreateserial", "-days", "30", "-extfile", at("server.ext"), "-out", at("server.pem")],
  );
  const caFile = at("ca.pem");
  const ca = new Uint8Array(readFileSync(caFile));
  return { ca, caFile, certFile: at("server.pem"), keyFile: at("server.key") };
}
