/** What is different between two versions of a transcript. */

import type { Doc, Segment } from "./doc";
import { common } from "./words";

export interface Run {
  readonly text: string;
  readonly kind: "same" | "gone" | "new";
}

/** What became of a text, word by word. */
export function runsOf(before: string, after: string): Run[] {
  const [old, fresh] = [parts(before), parts(after)];
  const runs: { text: string; kind: Run["kind"] }[] = [];
  const add = (texts: readonly string[], kind: Run["kind"]): void => {
    const text = texts.join("");
    const last = runs.at(-1);
    if (!text) return;
    if (last?.kind === kind) last.text += text;
    else runs.push({ text, kind });
  };
  let [i, j] = [0, 0];
  for (const [was, at] of [...common(old, fresh), [old.length, fresh.length] as const]) {
    add(old.slice(i, was), "gone");
    add(fresh.slice(j, at), "new");
    add(old.slice(was, was + 1), "same");
    [i, j] = [was + 1, at + 1];
  }
  return runs;
}

/** Words and what stands between them; of scripts without spaces, letters. */
const parts = (text: string): string[] =>
  text.match(/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{N}\p{M}'’]+|\s+|[^\p{L}\p{N}\p{M}\s]/gu) ?? [];

export interface Change {
  readonly segment: Segment;
  readonly runs: readonly Run[];
  /** Who said it, when that is different. */
  readonly voices: readonly [string | null, string | null] | null;
}

/** The segments that are different, and voices with other names. */
export interface Difference {
  readonly changes: readonly Change[];
  readonly names: readonly { voice: string; before: string | null; after: string | null }[];
}

export function differenceOf(before: Doc, after: Doc): Difference {
  const old = new Map(before.segments.map((segment) => [segment.id, segment]));
  const changes = after.segments.flatMap((segment) => {
    const was = old.get(segment.id);
    if (!was) return [];
    const isMoved = speakerOf(before, was.voice) !== speakerOf(after, segment.voice) && was.voice !== segment.voice;
    if (was.text === segment.text && !isMoved) return [];
    return [{ segment, runs: runsOf(was.text, segment.text), voices: isMoved ? ([was.voice, segment.voice] as const) : null }];
  });
  const voices = [...new Set([...Object.keys(before.names), ...Object.keys(after.names)])].sort();
  const names = voices
    .map((voice) => ({ voice, before: before.names[voice] ?? null, after: after.names[voice] ?? null }))
    .filter((one) => one.before !== one.after);
  return { changes, names };
}

const speakerOf = (doc: Doc, voice: string | null): string | null => (voice === null ? null : (doc.names[voice] ?? voice));
