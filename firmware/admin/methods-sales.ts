/** The method that tells what was sold, page by page (docs/ADMIN.md "Methods"). */
import type { PlainObject } from "../../core/messages/admin-values.ts";
import type { Method } from "./admin-server.ts";
import type { Administered } from "./administered.ts";

const SALES_PER_ANSWER = 16;
const NUMBERS = { min: 0, max: Number.MAX_SAFE_INTEGER };

export function salesMethods(
  of: Pick<Administered, "sales" | "board">,
): readonly (readonly [string, Method])[] {
  return [["sales", { run: ({ params }) => page(of, params) }]];
}

function page(
  { sales, board }: Pick<Administered, "sales" | "board">,
  params: Parameters<Method["run"]>[0]["params"],
): PlainObject {
  const after = params.has("after") ? params.integer("after", NUMBERS) : 0;
  params.end();
  const nowMs = board.clock.nowMs();
  const some = sales.after(after, SALES_PER_ANSWER);
  const rows = some.map(({ number, atMs, kind, reference, product, amountMsat, reason }) => ({
    number,
    secondsAgo: Math.max(0, Math.floor((nowMs - atMs) / 1000)),
    kind,
    reference,
    product,
    amountMsat,
    reason,
  }));
  const last = some[some.length - 1]?.number ?? after;
  return {
    run: sales.run,
    sales: rows,
    last,
    isEnd: last >= sales.lastNumber,
  } as PlainObject;
}
