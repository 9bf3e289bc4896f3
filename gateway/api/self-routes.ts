/** What the server says of itself: its description, its page, and what monitoring asks. */
import { demandGrant } from "./calls.ts";
import { DOCS_POLICY, docsPage } from "./docs-page.ts";
import { answerProblem, callerOf, type Parts } from "./http.ts";
import { openApiOf } from "./openapi.ts";
import { described } from "./problem.ts";
import type { Readiness } from "./readiness.ts";

const GET_METRICS = { name: "getMetrics", group: "read" } as const;

export function addSelfRoutes(parts: Parts, readiness: Readiness): void {
  const { app, host, calls, operations, metrics } = parts;
  const shapes = operations.map(({ shape }) => shape);
  app.get("/api/openapi.json", async ({ ip }) => {
    calls.admit(ip);
    return openApiOf(shapes, host.version);
  });
  app.get("/docs", async ({ ip }, reply) => {
    calls.admit(ip);
    reply.header("content-security-policy", DOCS_POLICY);
    return reply.type("text/html; charset=utf-8").send(docsPage(shapes, host.version));
  });
  app.get("/health", async ({ ip }) => {
    calls.admit(ip);
    return { alive: true };
  });
  app.get("/ready", async ({ ip }, reply) => {
    calls.admit(ip);
    const reasons = await readiness.reasons();
    const ready = reasons.length === 0;
    return reply.code(ready ? 200 : 503).send({ ready, reasons });
  });
  app.get("/metrics", async (request, reply) => {
    demandGrant(calls.grantOf(callerOf(request, reply)), GET_METRICS);
    if (!metrics) return answerProblem(reply, described("not-found", "metrics are switched off"));
    return reply.type(metrics.registry.contentType).send(await metrics.text());
  });
}
