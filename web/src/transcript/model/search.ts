/** Finding and replacing in a transcript. */

import type { Doc } from "./doc";
import { textOf, type Place, type Value } from "./steps";

export interface Search {
  readonly text: string;
  readonly isCase: boolean;
  readonly isWhole: boolean;
}

export interface Match {
  readonly segment: number;
  readonly from: number;
  readonly to: number;
}

const SPECIAL = /[.*+?^${}()|[\]\\]/g;

/** What finds a text as it was typed; null for an empty one. Runs of white space are alike. */
function pattern({ text, isCase, isWhole }: Search): RegExp | null {
  const words = text.trim().split(/\s+/).filter(Boolean);
  if (!words.length) return null;
  const plain = words.map((word) => word.replace(SPECIAL, "\\$&")).join("\\s+");
  const [before, after] = isWhole ? ["(?<![\\p{L}\\p{N}])", "(?![\\p{L}\\p{N}])"] : ["", ""];
  return new RegExp(`${before}${plain}${after}`, isCase ? "gu" : "giu");
}

/** All places of a text, in order. */
export function find(doc: Doc, search: Search): Match[] {
  const sought = pattern(search);
  if (!sought) return [];
  return doc.segments.flatMap(({ id, text }) =>
    [...text.matchAll(sought)].map((match) => ({ segment: id, from: match.index, to: match.index + match[0].length })),
  );
}

/** What puts `text` in the place of these matches. It is put there as it is: a `$` is a dollar. */
export function replaced(doc: Doc, matches: readonly Match[], text: string): [Place, Value][] {
  const bySegment = new Map<number, Match[]>();
  for (const match of matches) bySegment.set(match.segment, [...(bySegment.get(match.segment) ?? []), match]);
  return doc.segments.flatMap((segment) => {
    const own = bySegment.get(segment.id);
    if (!own) return [];
    let [done, line] = [0, ""];
    for (const { from, to } of own) {
      line += segment.text.slice(done, from) + text;
      done = to;
    }
    line += segment.text.slice(done);
    return [[textOf(segment.id), line.replace(/\s+/g, " ").trim()] as [Place, Value]];
  });
}

/** Which of the places that are found after one was replaced by `text` is the next one behind it; -1 for none. */
export function nextBehind(before: Doc, { segment, from }: Match, text: string, after: Doc, matches: readonly Match[]): number {
  const line = before.segments.find(({ id }) => id === segment)?.text ?? "";
  const end = `${line.slice(0, from)}${text}`.replace(/\s+/g, " ").trimStart().length;
  const order = new Map(after.segments.map(({ id }, number) => [id, number]));
  const here = order.get(segment) ?? 0;
  return matches.findIndex((match) => {
    const there = order.get(match.segment) ?? 0;
    return there > here || (there === here && match.from >= end);
  });
}
