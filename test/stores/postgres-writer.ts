/** A process for postgres-store.test.ts: commits ever higher versions and says so after each, until it is killed. */
import { openPostgresStore } from "../../gateway/store/postgres/postgres-store.ts";
import { changeOf, packed } from "../support/store-changes.ts";

const store = await openPostgresStore(process.argv[2] as string);
for (let version = 1; version < 1_000_000; version++) {
  await store.commit(changeOf(1, version, { credits: packed(version) }));
  process.stdout.write(`${version}\n`);
}
