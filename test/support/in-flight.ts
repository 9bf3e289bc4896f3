/** Calls that have not answered yet: whoever waits until nothing moves waits for them too. */
export class InFlight {
  private count = 0;

  /** Until there is none; whether there was any. */
  async wait(): Promise<boolean> {
    if (this.count === 0) return false;
    while (this.count > 0) await new Promise((wake) => setImmediate(wake));
    return true;
  }

  /** The same object; its calls that take time are counted while they do. */
  watch<T extends object>(target: T): T {
    const over = () => void this.count--;
    return new Proxy(target, {
      get: (_, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        return (...given: unknown[]) => {
          const answer: unknown = value.apply(target, given);
          if (answer instanceof Promise) {
            this.count++;
            answer.then(over, over);
          }
          return answer;
        };
      },
    });
  }
}
