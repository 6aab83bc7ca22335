/** What has been said, as the events of a session tell it. */

export type Final = { key: string; start: number; text: string; speaker: string | null };
/** `committed` stays until the final, `tail` may change with every word. */
export type Partial = { utterance: number; committed: string; tail: string };
export type Text = { finals: readonly Final[]; partial: Partial | null };

export type TextEvent =
  | { type: "partial"; utterance: number; committed: string; tail: string }
  | { type: "final"; utterance: number; start: number; text: string; speaker?: string | null };

export const NOTHING: Text = { finals: [], partial: null };

/**
 * The text after an event. `session` and `offset`: of recordings that follow one another on the same screen, which this is,
 * and its first second.
 */
export function said(text: Text, event: TextEvent, session = "", offset = 0): Text {
  if (event.type === "partial") {
    const { utterance, committed, tail } = event;
    return { ...text, partial: committed || tail ? { utterance, committed, tail } : null };
  }
  const partial = text.partial && text.partial.utterance > event.utterance ? text.partial : null;
  const key = `${session} ${event.utterance}`;
  if (!event.text.trim() || text.finals.some((final) => final.key === key)) return { ...text, partial };
  const final = { key, start: offset + event.start, text: event.text.trim(), speaker: event.speaker ?? null };
  return { finals: [...text.finals, final], partial };
}
