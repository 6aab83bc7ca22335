/** An edit: what a person changed in one recording, from the first letter until the server has it. */

import type { Place, Step, Value } from "../model/steps";

/**
 * typing: it is still being typed. waiting: its turn has not come, or the server is away. sending: on its way.
 * conflict: others have written in its place; the person chooses. refused: the server takes it not as it is.
 */
export type State = "typing" | "waiting" | "sending" | "conflict" | "refused";

export interface Edit {
  readonly id: string;
  /** The key under whose session it was made. Nobody else sends it. */
  readonly owner: string;
  readonly task: string;
  /** Of the recording, so that it can be named when its screen is closed. */
  readonly name: string;
  /** The newest version that the server had when typing began. */
  readonly base: number;
  /** Its place among the edits of its recording. */
  readonly order: number;
  readonly steps: readonly Step[];
  readonly state: State;
  readonly theirs?: ReadonlyMap<Place, Value>;
  readonly problem?: Problem;
  /** It was sent, and no answer came: the server may have it. */
  readonly isUnsure?: boolean;
  /** The page that works on it. */
  readonly tab?: string;
}

/** Why the server did not take an edit. */
export interface Problem {
  readonly code: string;
  readonly message: string;
}

/** An id that nobody else makes. `crypto.randomUUID` exists only behind TLS. */
export function newId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The place of an edit that is about one. */
export function placeOf(edit: Edit): Place | null {
  return edit.steps.length === 1 ? (edit.steps[0]?.place ?? null) : null;
}
