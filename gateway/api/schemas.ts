/** Schemas of what the API speaks of; amounts carry their unit in the name, ids are hexadecimal as people read them. */
import {
  Kind,
  type TObject,
  type TProperties,
  type TSchema,
  Type,
  TypeRegistry,
} from "@sinclair/typebox";

const hexOf = (bytes: number, description: string) =>
  Type.String({ pattern: `^[0-9a-f]{${bytes * 2}}$`, description });

export const NodeId = Type.String({
  pattern: "^0[23][0-9a-f]{64}$",
  description: "Public key of a node, 33 bytes",
});
export const ChannelIdHex = hexOf(32, "channel_id, 32 bytes (BOLT 2)");
export const TxidHex = hexOf(32, "Transaction id, as block explorers show it");
export const PaymentHashHex = hexOf(32, "SHA-256 of the preimage");
export const PreimageHex = hexOf(32, "Payment preimage");
export const ReferenceHex = hexOf(16, "Names a push; credited once");
/** The largest amount whose millisatoshi are a safe integer is far below all bitcoin. */
const MAX_SAT = 9_007_199_254_740;
export const Sat = (description: string, minimum = 0) =>
  Type.Integer({ minimum, maximum: MAX_SAT, description });
export const Msat = (description: string, minimum = 0) =>
  Type.Integer({ minimum, maximum: Number.MAX_SAFE_INTEGER, description });
export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
export const Count = (description?: string) =>
  Type.Integer({ minimum: 0, ...(description !== undefined && { description }) });
export const Time = (description: string) =>
  Type.String({ description: `${description}; RFC 3339, UTC` });

const WORDS = "OneOf";
// TypeBox passes over the `enum` of a string: a kind of our own looks at it.
TypeRegistry.Set<{ readonly enum: readonly unknown[] }>(WORDS, (schema, value) =>
  schema.enum.includes(value),
);
export const OneOf = <const T extends readonly string[]>(words: T, description: string) =>
  Type.Unsafe<T[number]>({ [Kind]: WORDS, type: "string", enum: [...words], description });

/** What is given to a call: a name that is not known is refused, for it may be a misspelt one. */
export const Given = <P extends TProperties>(properties: P): TObject<P> =>
  Type.Object(properties, { additionalProperties: false });

export const Limit = Type.Optional(
  Type.Integer({ minimum: 1, maximum: 1_000, default: 100, description: "At most so many" }),
);
