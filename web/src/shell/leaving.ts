/** Whether something would be lost if the tab were closed now. */

const reasons = new Set<() => boolean>();

addEventListener("beforeunload", (event) => {
  if ([...reasons].some((isUnsaved) => isUnsaved())) event.preventDefault();
});

/** Asks before the tab is left for as long as `isUnsaved` says so. Returns what ends that. */
export function holdWhile(isUnsaved: () => boolean): () => void {
  reasons.add(isUnsaved);
  return () => reasons.delete(isUnsaved);
}
