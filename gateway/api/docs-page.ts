/** The API's description as a page for people: made here, without scripts or anything from elsewhere. */
import type { TSchema } from "@sinclair/typebox";
import type { OperationShape } from "./operation.ts";
import { PROBLEMS } from "./problem.ts";

/** Nothing but this page's own style. */
export const DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
code{font:14px ui-monospace,monospace}section{border-top:1px solid #ccc;padding:.5rem 0}h3{margin:.5rem 0}
b.m{display:inline-block;min-width:4.5rem}table{border-collapse:collapse}td,th{text-align:left;padding:.1rem 1rem .1rem 0;
vertical-align:top}small{color:#666}@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}}`;

export function docsPage(shapes: readonly OperationShape[], version: string): string {
  const tags = [...new Set(shapes.map(({ tag }) => tag))];
  const parts = tags.map((tag) => {
    const ofTag = shapes.filter((shape) => shape.tag === tag);
    return `<h2 id="${tag}">${tag}</h2>${ofTag.map(sectionOf).join("")}`;
  });
  const problems = Object.entries(PROBLEMS).map(
    ([name, { status, title }]) =>
      `<tr><td>${status}</td><td><code>${name}</code></td><td>${escaped(title)}</td></tr>`,
  );
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>picobolt gateway API</title><style>${STYLE}</style>
<h1>picobolt gateway API</h1><p>Version ${escaped(version)} · <a href="/api/openapi.json">OpenAPI 3.1</a></p>
<p>${tags.map((tag) => `<a href="#${tag}">${tag}</a>`).join(" · ")}</p>
<p>Calls carry <code>Authorization: Macaroon …</code>; those that move money also <code>Idempotency-Key</code>. The same
operations are JSON-RPC 2.0 methods at <code>/rpc</code>. Changes: <code>/api/events</code> (server-sent events) and
<code>/api/events/ws</code> (WebSocket).</p>${parts.join("")}
<h2 id="Problems">Problems</h2><p>RFC 9457; <code>type</code> is <code>urn:picobolt:problem:</code> and the name.</p>
<table>${problems.join("")}</table></html>`;
}

function sectionOf(shape: OperationShape): string {
  const { name, method, path, summary, description, group, alsoFor = [], movesMoney } = shape;
  const needs = [group, ...alsoFor].join(" or ");
  const fields = [
    ...rowsOf("path", shape.parameters),
    ...rowsOf("query", shape.query),
    ...rowsOf("body", shape.body),
    ...rowsOf("answer", shape.answer),
  ];
  return `<section id="${name}"><h3><b class="m">${method}</b> <code>${escaped(path)}</code></h3>
<p>${escaped(summary)}. ${escaped(description ?? "")}</p>
<p><small><code>${name}</code> · macaroon: ${needs}${movesMoney ? " · needs an idempotency key" : ""}</small></p>
<table>${fields.join("")}</table></section>`;
}

function rowsOf(place: string, schema: TSchema | undefined): readonly string[] {
  const properties = (schema?.properties ?? {}) as Record<string, Record<string, unknown>>;
  const required = (schema?.required ?? []) as readonly string[];
  return Object.entries(properties).map(([name, property]) => {
    const must = place !== "answer" && !required.includes(name) ? " (optional)" : "";
    const told = [typeOf(property), property.description].filter(Boolean).join(": ");
    return `<tr><td><small>${place}</small></td><td><code>${name}</code>${must}</td><td>${escaped(told)}</td></tr>`;
  });
}

function typeOf({ type, anyOf, enum: words, title }: Record<string, unknown>): string {
  if (Array.isArray(words)) return words.join(", ");
  if (Array.isArray(anyOf)) return anyOf.map(typeOf).join(" or ");
  return String(title ?? type ?? "");
}

function escaped(text: string): string {
  const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (sign) => names[sign] as string);
}
