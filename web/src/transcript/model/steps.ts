/**
 * Changes of a transcript, as small as they can be taken back or asked about.
 *
 * A step says what stood in one place and what is to stand there. Everything else follows from that: undoing is the step
 * turned round, and a conflict is a place in which neither of the two stands.
 */

import type { Doc, Segment } from "./doc";

/** A segment's text, the speaker of a segment, or a speaker's name. */
export type Place = `text ${number}` | `voice ${number}` | `name ${string}`;

export type Value = string | null;

export interface Step {
  readonly place: Place;
  readonly before: Value;
  readonly after: Value;
}

export const textOf = (segment: number): Place => `text ${segment}`;
export const voiceOf = (segment: number): Place => `voice ${segment}`;
export const nameOf = (speaker: string): Place => `name ${speaker}`;

export type Kind = "text" | "voice" | "name";

/** The kind of a place and what it is about: the number of a segment, or a speaker's id. */
export function parts(place: Place): [Kind, string] {
  const space = place.indexOf(" ");
  return [place.slice(0, space) as Kind, place.slice(space + 1)];
}

/** What stands in a place; null where nobody speaks, for a speaker without a name, and where there is no such place. */
export function read(doc: Doc, place: Place): Value {
  const [kind, what] = parts(place);
  if (kind === "name") return doc.names[what] ?? null;
  const segment = segmentOf(doc, Number(what));
  if (!segment) return null;
  return kind === "text" ? segment.text : segment.voice;
}

/** A segment by its number. Numbers are mostly their places in the list. */
export function segmentOf(doc: Doc, number: number): Segment | undefined {
  const guess = doc.segments[number];
  return guess?.id === number ? guess : doc.segments.find(({ id }) => id === number);
}

/** The transcript with these steps done. What they do not touch stays the same object. */
export function apply(doc: Doc, steps: Iterable<Step>): Doc {
  const changes = new Map<number, { text?: string; voice?: string | null }>();
  let names: Record<string, string> | null = null;
  for (const { place, after } of steps) {
    const [kind, what] = parts(place);
    if (kind === "name") {
      names ??= { ...doc.names };
      if (after === null) delete names[what];
      else names[what] = after;
    } else {
      const change = changes.get(Number(what)) ?? {};
      if (kind === "text") change.text = after ?? "";
      else change.voice = after;
      changes.set(Number(what), change);
    }
  }
  if (!changes.size && !names) return doc;
  const seconds = { ...doc.seconds };
  const segments = doc.segments.map((segment) => {
    const change = changes.get(segment.id);
    if (!change) return segment;
    const changed = { ...segment, ...change };
    if (changed.text === segment.text && changed.voice === segment.voice) return segment;
    if (changed.voice !== segment.voice) move(seconds, segment, changed.voice);
    return changed;
  });
  return { ...doc, segments, seconds, names: names ?? doc.names };
}

/** Counts a segment's seconds for its new speaker. The server counts turns, and tells its figure when it is asked. */
function move(seconds: Record<string, number>, segment: Segment, voice: string | null): void {
  const length = segment.end - segment.start;
  if (segment.voice !== null) seconds[segment.voice] = Math.max(0, (seconds[segment.voice] ?? 0) - length);
  if (voice !== null) seconds[voice] = (seconds[voice] ?? 0) + length;
}

/** What takes these steps back. */
export function inverse(steps: readonly Step[]): Step[] {
  return [...steps].reverse().map(({ place, before, after }) => ({ place, before: after, after: before }));
}

/** What is left to do of steps, and the places in which others have written meanwhile. */
export interface Comparison {
  readonly open: readonly Step[];
  readonly conflicts: ReadonlyMap<Place, Value>;
}

/** Whether two values of a place are the same there: of voices that share a name, any. */
function isSame(doc: Doc, place: Place, one: Value, other: Value): boolean {
  if (one === other) return true;
  if (one === null || other === null || parts(place)[0] !== "voice") return false;
  return doc.names[one] !== undefined && doc.names[one] === doc.names[other];
}

/** Compares steps with a transcript in which they are to be done. */
export function compare(doc: Doc, steps: Iterable<Step>): Comparison {
  const open: Step[] = [];
  const conflicts = new Map<Place, Value>();
  for (const step of steps) {
    const now = read(doc, step.place);
    if (isSame(doc, step.place, now, step.after)) continue;
    if (!isSame(doc, step.place, now, step.before)) conflicts.set(step.place, now);
    open.push(step);
  }
  return { open, conflicts };
}

/** The body of `PATCH /tasks/{task_id}` that does these steps. */
export interface Correction {
  speakers?: Record<string, string | null>;
  segments?: { id: number; text?: string; speaker?: string | null }[];
}

export function correctionOf(steps: Iterable<Step>): Correction {
  const names: Record<string, string | null> = {};
  const segments = new Map<number, { id: number; text?: string; speaker?: string | null }>();
  for (const { place, after } of steps) {
    const [kind, what] = parts(place);
    if (kind === "name") {
      names[what] = after;
      continue;
    }
    const id = Number(what);
    const segment = segments.get(id) ?? { id };
    if (kind === "text") segment.text = after ?? "";
    else segment.speaker = after;
    segments.set(id, segment);
  }
  return {
    ...(Object.keys(names).length ? { speakers: names } : {}),
    ...(segments.size ? { segments: [...segments.values()] } : {}),
  };
}
