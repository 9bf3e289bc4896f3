/** The power of one run of a node: it may go between any two effects, and after that nothing of this run reaches the world. */
export class Power {
  private on = true;
  private left: number | undefined;
  onCut: () => void = () => {};

  get isOn(): boolean {
    return this.on;
  }

  /** It goes after so many more effects. */
  cutAfter(effects: number): void {
    this.left = effects;
  }

  /** An effect is about to happen: false where it no longer does. */
  spend(): boolean {
    if (!this.on) return false;
    if (this.left === undefined) return true;
    if (this.left === 0) {
      this.cut();
      return false;
    }
    this.left--;
    return true;
  }

  cut(): void {
    if (!this.on) return;
    this.on = false;
    this.onCut();
  }
}

/** What a process that is gone hears of anything. */
export function never<T>(): Promise<T> {
  return new Promise(() => {});
}
