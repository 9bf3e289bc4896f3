/** What a device's program takes from the core: the entry of the bundle (no barrel: nothing else imports this file but bundles). */
export * from "../core/primitives/brands.ts";
export * from "../core/primitives/bytes.ts";
export * from "../core/primitives/errors.ts";
