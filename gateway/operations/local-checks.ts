/** Checks of this machine and of the gateway's folder: programs, disk, modes, seed, store and certificate. */
import { X509Certificate } from "node:crypto";
import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Config } from "../run/settings.ts";
import { seedLockOf } from "../secrets/seed-file.ts";
import { type Check, type CheckResult, failed, messageOf, ok, warning } from "./check.ts";
import { type DiskSpace, freeText, isLow } from "./disk.ts";

const OTHERS = 0o077;
const LEAST_NODE = [20, 19] as const;
const DAY_MS = 86_400_000;
/** The gateway renews its own then; an operator's own wants to be replaced. */
const RENEWAL_DAYS = 30;

export function nodeCheck(version: string): Check {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [leastMajor, leastMinor] = LEAST_NODE;
  const isNew = major > leastMajor || (major === leastMajor && minor >= leastMinor);
  return {
    name: "node.js",
    run: () =>
      isNew
        ? ok(`version ${version}`)
        : failed(
            `version ${version} is too old`,
            `install Node.js ${leastMajor}.${leastMinor} or newer`,
          ),
  };
}

export function cryptoCheck(choose: () => Pick<Crypto, "name">): Check {
  return {
    name: "crypto",
    run: () => {
      const { name } = choose();
      if (name !== "noble") return ok(`native (${name})`);
      return warning(
        "no native provider: signing takes 7 times, verifying 35 times as long",
        "npm rebuild secp256k1 (it needs a C++ compiler), then start the gateway again",
      );
    },
  };
}

export function dataDirCheck(folder: string, uid: number | undefined): Check {
  return { name: "data dir", run: () => dataDirResult(folder, uid) };
}

function dataDirResult(folder: string, uid: number | undefined): CheckResult {
  if (!existsSync(folder)) {
    const above = nearestFolder(folder);
    if (isWritable(above)) return ok(`${folder} is not there yet; the first start makes it`);
    return failed(
      `${folder} is not there, and ${above} cannot be written`,
      "make it for the user that runs the gateway, or choose another (DATA_DIR)",
    );
  }
  const { uid: owner, mode } = statSync(folder);
  if (!statSync(folder).isDirectory()) {
    return failed(`${folder} is not a folder`, "choose another (DATA_DIR)");
  }
  if (uid !== undefined && owner !== uid) {
    return failed(
      `${folder} belongs to user ${owner}, and this is user ${uid}`,
      `run this, and the gateway, as its owner; or chown -R it`,
    );
  }
  if (!isWritable(folder)) {
    return failed(`${folder} cannot be written`, "look at its mode and at how it is mounted");
  }
  if ((mode & OTHERS) !== 0) {
    const octal = (mode & 0o777).toString(8);
    return warning(
      `${folder} is open to others (mode ${octal})`,
      `chmod 700 ${folder}; replace secrets that others may have read`,
    );
  }
  return ok(`${folder}, its owner's alone`);
}

export function diskCheck(folder: string, diskOf: (folder: string) => DiskSpace): Check {
  return {
    name: "disk",
    run: () => {
      const space = diskOf(nearestFolder(folder));
      if (!isLow(space)) return ok(`${freeText(space)} free`);
      return warning(
        `only ${freeText(space)} free`,
        "make room: a full disk halts every channel (they go on by themselves after)",
      );
    },
  };
}

export function seedCheck(path: string, config: Config): Check {
  return { name: "seed", run: () => seedResult(path, config) };
}

function seedResult(path: string, config: Config): CheckResult {
  if (!existsSync(path)) {
    if (existsSync(dirname(path)) && existsSync(join(dirname(path), "admin.macaroon"))) {
      return failed(
        `${path} is gone, and a gateway was here`,
        "restore it from its words (picobolt seed restore) before any start: another seed is another node",
      );
    }
    return ok("there is none yet; the first start makes it, picobolt seed new by hand");
  }
  for (const name of ["secrets.passphrase_file", "secrets.key_file"] as const) {
    const file = config[name];
    if (file !== undefined && !isReadable(file)) {
      return failed(`${file} (${name}) cannot be read`, "look at its owner and mode");
    }
  }
  try {
    const lock = seedLockOf(path);
    if (lock !== "plain") return ok(`${path}, locked by a ${lock}`);
    return warning(
      `${path} is not encrypted: whoever reads it can take all the money`,
      "lock it: picobolt seed passphrase",
    );
  } catch (cause) {
    return failed(messageOf(cause), "do as it says, and keep a copy of what is there");
  }
}

export function certificateCheck(folder: string, config: Config, nowMs: () => number): Check {
  return { name: "certificate", run: () => certificateResult(folder, config, nowMs()) };
}

function certificateResult(folder: string, config: Config, nowMs: number): CheckResult {
  if (config["api.tls"] === "off") return ok("the API is plain HTTP, on loopback alone");
  const given = config["api.certificate"];
  const path = given ?? join(folder, "server.pem");
  if (!existsSync(path)) {
    if (given === undefined) return ok("there is none yet; the first start makes it");
    return failed(`${path} (api.certificate) is not there`, "put it there, or leave it away");
  }
  const renewal = given === undefined ? "start the gateway: it renews it" : "have it renewed";
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(readFileSync(path));
  } catch (cause) {
    return failed(`${path} is no certificate: ${messageOf(cause)}`, renewal);
  }
  const days = Math.floor((Date.parse(certificate.validTo) - nowMs) / DAY_MS);
  if (Date.parse(certificate.validFrom) > nowMs) {
    return failed(`${path} is not valid before ${certificate.validFrom}`, "look at the clock");
  }
  if (days < 0) return failed(`${path} expired ${-days} days ago`, renewal);
  if (days < RENEWAL_DAYS) return warning(`${path} expires in ${days} days`, renewal);
  return ok(`valid for ${days} days`);
}

/** The folder itself, or the first above it that is there. */
function nearestFolder(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : nearestFolder(dirname(folder));
}

function isWritable(path: string): boolean {
  return may(path, constants.W_OK | constants.X_OK);
}

function isReadable(path: string): boolean {
  return may(path, constants.R_OK);
}

function may(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
