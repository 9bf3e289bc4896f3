/** How long a test waits for what must come: so long that whatever does not come by then never does, on a busy machine too. */
export const PATIENCE_MS = 60_000;

/** For `expect.poll` and `vi.waitFor`, which by themselves give up after a second. */
export const PATIENT = { timeout: PATIENCE_MS, interval: 20 } as const;

const DAY_MS = 86_400_000;

/** Until no day of UTC ends within the next two minutes: what is counted by days stays within one. */
export async function farFromMidnight(): Promise<void> {
  const leftMs = DAY_MS - (Date.now() % DAY_MS);
  if (leftMs < 2 * PATIENCE_MS) await new Promise((wake) => setTimeout(wake, leftMs));
}
