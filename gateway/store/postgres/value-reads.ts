/** Named values that are asked for together are read by one query: whoever takes a thousand devices over asks for each one's. */
import type { Session } from "./session.ts";

interface Question {
  readonly owner: number;
  readonly key: string;
  resolve(value: Uint8Array | undefined): void;
  reject(cause: unknown): void;
}

/** Reads after all that was written before the call. */
type Read = (work: (session: Session) => Promise<void>) => Promise<void>;

const MAX_TOGETHER = 1_000;

export class ValueReads {
  private questions: Question[] = [];

  /** `inTurn` runs its work later, one after the other; `read` is for within. */
  constructor(
    private readonly inTurn: (work: () => Promise<void>) => Promise<void>,
    private readonly read: Read,
  ) {}

  get(owner: number, key: string): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => {
      this.questions.push({ owner, key, resolve, reject });
      if (this.questions.length === 1) this.ask();
    });
  }

  private ask(): void {
    const turn = this.inTurn(async () => {
      // What is asked from here on may be written while we read.
      const asked = this.questions.splice(0, MAX_TOGETHER);
      if (this.questions.length > 0) this.ask();
      await this.read((session) => answer(session, asked)).catch((cause: unknown) => {
        for (const { reject } of asked) reject(cause);
      });
    });
    turn.catch((cause: unknown) => {
      for (const { reject } of this.questions.splice(0)) reject(cause);
    });
  }
}

async function answer(session: Session, asked: readonly Question[]): Promise<void> {
  const columns = [asked.map(({ owner }) => owner), asked.map(({ key }) => key)];
  const rows = await session.query(GET_VALUES, columns);
  for (const { place, value } of rows) {
    asked[Number(place) - 1]?.resolve(value ? new Uint8Array(value as Uint8Array) : undefined);
  }
}

const GET_VALUES = {
  name: "get_values",
  text: `SELECT place, value
    FROM unnest($1::int[], $2::text[]) WITH ORDINALITY AS asked (worker, name, place)
    LEFT JOIN settings USING (worker, name)`,
};
