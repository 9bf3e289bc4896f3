/** What programs send that mean no good, or are broken: bodies, values and words, for every operation alike. */

export interface HostileBody {
  readonly what: string;
  readonly contentType?: string;
  readonly text: string;
  readonly status: number;
}

const DEEP = 15_000;
/** One more than a body may have. */
const HUGE = 64 * 1024 + 1;

export const HOSTILE_BODIES: readonly HostileBody[] = [
  { what: "no JSON", text: "{", status: 400 },
  { what: "two documents", text: "{}{}", status: 400 },
  { what: "a comma too many", text: '{"a":1,}', status: 400 },
  { what: "a number that is none", text: '{"amount":NaN}', status: 400 },
  { what: "single quotes", text: "{'a':1}", status: 400 },
  { what: "bytes that are no text", text: "\u0000\ufffd", status: 400 },
  { what: "very deep lists", text: "[".repeat(DEEP) + "]".repeat(DEEP), status: 400 },
  { what: "very deep objects", text: `${'{"a":'.repeat(9_000)}1${"}".repeat(9_000)}`, status: 400 },
  { what: "a list", text: "[]", status: 400 },
  { what: "a string", text: '"{}"', status: 400 },
  { what: "nothing at all, as a value", text: "null", status: 400 },
  { what: "a prototype", text: '{"__proto__":{"amount":1},"constructor":{}}', status: 400 },
  { what: "too much", text: `{"memo":"${"x".repeat(HUGE)}"}`, status: 413 },
  { what: "plain text", text: "amount=1", contentType: "text/plain", status: 415 },
  { what: "a form", text: "a=1", contentType: "application/x-www-form-urlencoded", status: 415 },
  {
    what: "a file",
    text: "--x\r\n\r\n--x--",
    contentType: "multipart/form-data; boundary=x",
    status: 415,
  },
  { what: "XML", text: "<amount>1</amount>", contentType: "application/xml", status: 415 },
];

/** In place of any value. */
export const HOSTILE_VALUES: readonly unknown[] = [
  ...[null, true, [], {}, "", " ", -1, 0, 0.1, 1e21, -0, 2 ** 53, 1e308, "1", "true"],
  ...[
    "\u0000",
    "\ud800",
    "🪙".repeat(300),
    "x".repeat(20_000),
    "../../etc/passwd",
    "%00",
    "#{7*7}",
  ],
  ...["'; DROP TABLE payments; --", "\u202e", "9007199254740993", "-1", "1e3", "Infinity"],
  ...[[1, [2, [3, [4]]]], { $ref: "#" }, { toString: 1 }, { length: 1e9 }],
];

/** In a path or a query, as they stand in a URL. */
export const HOSTILE_WORDS: readonly string[] = [
  ...["%00", "%ff", "%", "%2e%2e%2f%2e%2e%2f", "..%5c", "%F0%9F%AA%99", "%20", "null", "-"],
  ...["0".repeat(300), "__proto__", "constructor", "%7B%7D", "*", "1;2", "%0d%0aX-Evil:%201"],
];
