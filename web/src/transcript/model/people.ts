/** Who speaks: people, of whom each has one voice or, when voices were given one name, several. */

import type { Doc } from "./doc";
import { nameOf, voiceOf, type Place, type Value } from "./steps";

export interface Person {
  /** The name, or the id of a voice without one. */
  readonly key: string;
  readonly name: string | null;
  readonly voices: readonly string[];
  readonly seconds: number;
  /** Of all that is said, from 0 to 1. */
  readonly share: number;
  /** 1 to 8, of the colours. */
  readonly colour: number;
}

export const COLOURS = 8;

/** The number in `spk_3`; ids of another form have 0. */
export function numberOf(voice: string): number {
  return Number(/^spk_(\d+)$/.exec(voice)?.[1] ?? 0);
}

/** All people in the order of their voices. */
export function peopleOf(doc: Doc): Person[] {
  const voices = new Set(Object.keys(doc.seconds).filter((voice) => doc.seconds[voice]));
  for (const { voice } of doc.segments) if (voice !== null) voices.add(voice);
  const total = Object.values(doc.seconds).reduce((sum, one) => sum + one, 0);
  const people = new Map<string, { name: string | null; voices: string[]; seconds: number }>();
  for (const voice of [...voices].sort((one, other) => numberOf(one) - numberOf(other))) {
    const name = doc.names[voice] ?? null;
    const key = name === null ? voice : `name ${name}`;
    const person = people.get(key) ?? { name, voices: [], seconds: 0 };
    person.voices.push(voice);
    person.seconds += doc.seconds[voice] ?? 0;
    people.set(key, person);
  }
  return [...people.values()].map((person) => ({
    ...person,
    key: person.name ?? (person.voices[0] as string),
    share: total ? person.seconds / total : 0,
    colour: colourOf(person.voices[0] as string),
  }));
}

export function colourOf(voice: string): number {
  return ((Math.max(1, numberOf(voice)) - 1) % COLOURS) + 1;
}

/** People by their voices. */
export function byVoice(people: readonly Person[]): ReadonlyMap<string, Person> {
  return new Map(people.flatMap((person) => person.voices.map((voice) => [voice, person] as const)));
}

/** What makes one person of two; the first one's name stays, else `name` is what both are called. */
export function merged(into: Person, other: Person, name: string): [Place, Value][] {
  const shared = into.name ?? name;
  return [...into.voices, ...other.voices].map((voice) => [nameOf(voice), shared]);
}

/** What gives each voice of a person its own id again. */
export function separated(person: Person): [Place, Value][] {
  return person.voices.map((voice) => [nameOf(voice), null]);
}

/** What gives a person another name, or with an empty one none. */
export function renamed(person: Person, name: string): [Place, Value][] {
  return person.voices.map((voice) => [nameOf(voice), name || null]);
}

/** What gives these segments to a voice. */
export function reassigned(segments: Iterable<number>, voice: string): [Place, Value][] {
  return [...segments].map((segment) => [voiceOf(segment), voice]);
}

/** A voice that nobody has yet; null when there are 99. */
export function newVoice(doc: Doc): string | null {
  const taken = new Set([...Object.keys(doc.seconds), ...doc.segments.map(({ voice }) => voice)]);
  for (let number = 1; number < 100; number++) if (!taken.has(`spk_${number}`)) return `spk_${number}`;
  return null;
}
