/** What a person has typed, of edits that cannot be saved any more. */

import type { Edit } from "./desk/edit";
import { parts } from "./model/steps";

/** Sentences and names, in the order in which they were typed. */
export function typed(edits: readonly Edit[]): string[] {
  const steps = edits.flatMap((edit) => edit.steps).filter(({ place }) => parts(place)[0] !== "voice");
  return steps.flatMap(({ after }) => (after ? [after] : []));
}
