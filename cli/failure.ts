/** How a command fails: one sentence for the person, and an exit code for the script. */

export const EXIT = {
  /** What was asked for was not done. */
  failed: 1,
  /** The words on the command line make no sense. */
  usage: 2,
  /** Nothing answers: no port, no device, no gateway. */
  noAnswer: 3,
  /** The device, the gateway or a check said no, and nothing was changed. */
  refused: 4,
  /** Ctrl-C. */
  stopped: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Says what happened, to what, and what to do. */
export class Failure extends Error {
  override readonly name = "Failure";
  constructor(
    message: string,
    readonly exitCode: ExitCode = EXIT.failed,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
