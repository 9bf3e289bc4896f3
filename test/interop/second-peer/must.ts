/** What the second peer holds the other side to: whoever breaks a rule of the protocol ends the test. */

export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`the other side is wrong: ${what}`);
}
