/** A real S3-compatible server (s3rver, which checks every signature by its own means) with one bucket, on a free port. */
import type { Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { S3Store } from "../../../gateway/backup/s3-store.ts";

interface Running {
  configureBuckets(): Promise<unknown>;
  callback(): (request: unknown, response: unknown) => void;
}
type S3rver = new (options: object) => Running;

export const S3_KEY = { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" } as const;

export class S3Lab {
  private constructor(
    private readonly server: Server,
    readonly endpoint: string,
  ) {}

  static async start(directory: string): Promise<S3Lab> {
    const { createServer } = await import("node:http");
    const S3rver = createRequire(import.meta.url)("@20minutes/s3rver") as S3rver;
    const s3 = new S3rver({ silent: true, directory, configureBuckets: [{ name: "backups" }] });
    await s3.configureBuckets();
    const server = createServer(s3.callback());
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as AddressInfo;
    return new S3Lab(server, `http://127.0.0.1:${port}`);
  }

  store(key: { accessKeyId: string; secretAccessKey: string } = S3_KEY): S3Store {
    return new S3Store({ endpoint: this.endpoint, bucket: "backups", region: "us-east-1", ...key });
  }

  settings(prefix: string) {
    return {
      "backup.s3.endpoint": this.endpoint,
      "backup.s3.bucket": "backups",
      "backup.s3.prefix": prefix,
      "backup.s3.access_key_id": S3_KEY.accessKeyId,
      "backup.s3.secret_access_key": S3_KEY.secretAccessKey,
    };
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }
}
