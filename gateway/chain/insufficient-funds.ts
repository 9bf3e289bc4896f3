/** What a wallet says when its coins do not reach; the message is for the operator. */
export class InsufficientFunds extends Error {
  override readonly name = "InsufficientFunds";
}
