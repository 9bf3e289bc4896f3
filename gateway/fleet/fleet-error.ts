/** Why something about the fleet was not done; nothing was changed. */

export type FleetErrorCode = "not-found" | "refused" | "wrong" | "full";

export class FleetError extends Error {
  override readonly name = "FleetError";
  constructor(
    readonly code: FleetErrorCode,
    text: string,
  ) {
    super(text);
  }
}
