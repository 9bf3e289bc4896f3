/** Code with bugs in a folder whose name has it instrumented: each right byte opens one more branch. */
export function maze(input: Uint8Array): void {
  if (input[0] !== 9) return;
  if (input[1] !== 200) return;
  if (input[2] !== 31) return;
  if (input[3] !== 77) return;
  throw new Error("the maze's end");
}

/** Never ends for one first byte. */
export function spin(input: Uint8Array): void {
  let at = input.length;
  while (input[0] === 7 && at >= 0) at ^= 1;
}
