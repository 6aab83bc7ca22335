/** What went wrong with a call: the API's own code and message, or that the server was not reached. */

/** Codes of failures in which no answer of the API came. */
export const UNREACHED = "unreached";
export const SILENT = "silent";
export const FOREIGN = "foreign_answer";

export class Failure extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status = 0,
    readonly detail: Record<string, unknown> = {},
    readonly requestId: string | null = null,
  ) {
    super(message);
    this.name = "Failure";
  }

  /** Whether the same call may succeed later, with nothing changed. */
  get isPassing(): boolean {
    return [UNREACHED, SILENT].includes(this.code) || [408, 429, 502, 503, 504].includes(this.status);
  }
}

/** Any error as a failure, for those who show it. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure("unexpected", error instanceof Error ? error.message : String(error));
}
