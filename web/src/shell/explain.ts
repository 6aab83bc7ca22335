/** Failures in the user's words: what happened, and what to do. */

import { asFailure } from "../api/failure";
import { isKey, t } from "../i18n/index.svelte";
import { notices, type Action } from "./notices.svelte";

/** What to tell a person about an error; the API's own message where there are no better words. */
export function explain(error: unknown): string {
  const failure = asFailure(error);
  return told(failure.code, failure.message);
}

/** The same for the code and message with which a task failed. */
export function told(code: string, message: string): string {
  const key = `error.${code}`;
  return isKey(key) ? t(key) : message;
}

/** Shows a failure as a notice. */
export function complain(error: unknown, actions: Action[] = []): void {
  notices.say(explain(error), { tone: "bad", actions });
}

/** An event handler that tells the person when it fails. */
export const guarded =
  <A extends unknown[]>(work: (...args: A) => unknown) =>
  async (...args: A): Promise<void> => {
    try {
      await work(...args);
    } catch (error) {
      complain(error);
    }
  };
