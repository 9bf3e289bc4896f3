/** What goes wrong between a program and a gateway. */

/** The gateway said no: a problem of RFC 9457. `problem` is the stable name at the end of its type. */
export class GatewayProblem extends Error {
  override readonly name = "GatewayProblem";
  constructor(
    readonly problem: string,
    readonly status: number,
    message: string,
    readonly errors: readonly { readonly pointer: string; readonly detail: string }[] = [],
  ) {
    super(message);
  }
}

/** No answer came; whether a call that moves money was done is not known: try again with the same key. */
export class GatewayUnreachable extends Error {
  override readonly name = "GatewayUnreachable";
}
