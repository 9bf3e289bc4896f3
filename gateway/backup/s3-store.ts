/** Objects in a bucket of an S3-compatible store: put and looked at again, read, listed, removed (AWS Signature Version 4, path style). */
import { createHash } from "node:crypto";
import { AwsClient } from "aws4fetch";
import { equal } from "../../core/primitives/bytes.ts";
import { BackupError } from "./backup-error.ts";

export interface S3Place {
  /** Such as https://s3.eu-central-1.amazonaws.com, http://127.0.0.1:9000 */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const TIMEOUT_MS = 60_000;
const MAX_LISTED = 1_000_000;
/** Letters that mean the same in URLs, XML and signatures. */
const KEY = /^[A-Za-z0-9._/-]{1,512}$/;

export class S3Store {
  readonly #client: AwsClient;
  /** For people: never a key. */
  readonly name: string;

  constructor(place: S3Place) {
    const { accessKeyId, secretAccessKey, region, bucket } = place;
    this.#client = new AwsClient({
      accessKeyId,
      secretAccessKey,
      region,
      service: "s3",
      retries: 0,
    });
    this.name = `${place.endpoint.replace(/\/+$/, "")}/${bucket}`;
  }

  /** What is there afterwards is what was sent, or it throws. @throws BackupError "io". */
  async put(key: string, bytes: Uint8Array): Promise<void> {
    const digest = createHash("sha256").update(bytes).digest("hex");
    // Signed with the content: what was changed on the way is refused there.
    const headers = { "x-amz-content-sha256": digest };
    await this.#call("PUT", this.#url(key), { body: Buffer.from(bytes), headers });
    const head = await this.#call("HEAD", this.#url(key));
    const tag = head.headers.get("etag")?.replaceAll('"', "");
    if (tag === createHash("md5").update(bytes).digest("hex")) return;
    // Stores that encrypt have other tags.
    const there = await this.get(key);
    if (there && equal(there, bytes)) return;
    throw new BackupError("io", `${this.name} took ${key} and does not give it back`);
  }

  /** Undefined where there is none. */
  async get(key: string): Promise<Uint8Array | undefined> {
    const response = await this.#call("GET", this.#url(key), {}, [404]);
    if (response.status === 404) return undefined;
    return new Uint8Array(await response.arrayBuffer());
  }

  /** Keys that begin so, in order. */
  async list(prefix: string): Promise<readonly string[]> {
    const keys: string[] = [];
    let more: string | undefined;
    do {
      const url = new URL(this.#url(""));
      url.searchParams.set("list-type", "2");
      url.searchParams.set("prefix", prefix);
      if (more !== undefined) url.searchParams.set("continuation-token", more);
      const xml = await (await this.#call("GET", url.href)).text();
      for (const [, key] of xml.matchAll(/<Key>([^<]*)<\/Key>/g)) keys.push(key as string);
      const isCut = /<IsTruncated>true<\/IsTruncated>/.test(xml);
      more = isCut ? /<NextContinuationToken>([^<]*)</.exec(xml)?.[1] : undefined;
    } while (more !== undefined && keys.length < MAX_LISTED);
    return keys.filter((key) => KEY.test(key)).sort();
  }

  async remove(key: string): Promise<void> {
    await this.#call("DELETE", this.#url(key), {}, [404]);
  }

  #url(key: string): string {
    if (key !== "" && !KEY.test(key)) {
      throw new BackupError("io", "a key has letters, digits, dots, dashes and slashes alone");
    }
    return `${this.name}${key === "" ? "" : `/${key}`}`;
  }

  async #call(
    method: string,
    url: string,
    more: { readonly body?: Buffer; readonly headers?: Record<string, string> } = {},
    alsoFine: readonly number[] = [],
  ): Promise<Response> {
    let response: Response;
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      response = await this.#client.fetch(url, { method, signal, ...more });
    } catch (cause) {
      const { message, cause: inner } = cause as Error & { cause?: { message?: string } };
      const why = inner?.message ?? message;
      throw new BackupError("io", `${this.name} does not answer (${why})`, { cause });
    }
    if (response.ok || alsoFine.includes(response.status)) return response;
    const xml = await response.text();
    const code = /<Code>([^<]{1,64})<\/Code>/.exec(xml)?.[1] ?? "no reason";
    throw new BackupError("io", `${this.name} refused ${method}: ${response.status} ${code}`);
  }
}
