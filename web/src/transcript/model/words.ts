/** The words of a segment: where each stands in its text, when it is said, and which are doubtful. */

import type { Segment, Word } from "./doc";

/** A word's place in the text of its segment, from `from` up to but without `to`. */
export interface Token {
  readonly from: number;
  readonly to: number;
  readonly start: number;
  readonly end: number;
  readonly confidence: number;
}

/** As the report on quality has it. */
export const DOUBTFUL = 0.5;

/** Where the words of a segment stand. Words that a person wrote share the time between those that stayed. */
export function tokensOf(segment: Segment, words: readonly Word[] | undefined): Token[] {
  if (!words?.length) return [];
  return inPlace(segment.text, words) ?? retimed(segment, words);
}

/** Words one after another as they stand in a text; null where one of them is not there. */
function inPlace(text: string, words: readonly Word[]): Token[] | null {
  const tokens: Token[] = [];
  let from = 0;
  for (const { word, start, end, confidence } of words) {
    const plain = word.trim();
    const place = text.indexOf(plain, from);
    if (place < 0 || text.slice(from, place).trim()) return null;
    from = place + plain.length;
    if (plain) tokens.push({ from: place, to: from, start, end, confidence });
  }
  return text.slice(from).trim() ? null : tokens;
}

const bare = (word: string): string => word.replace(/[^\p{L}\p{N}]+/gu, "").toLowerCase();

/** The words of a text that was corrected here: those that are still there keep their times and confidence. */
function retimed(segment: Segment, words: readonly Word[]): Token[] {
  const parts = [...segment.text.matchAll(/\S+/g)].map((match) => ({ from: match.index, to: match.index + match[0].length, text: match[0] }));
  const stayed = common(words.map(({ word }) => bare(word)), parts.map(({ text }) => bare(text)));
  const tokens: Token[] = [];
  let now = segment.start;
  const fill = (until: number, end: number): void => {
    const fresh = parts.slice(tokens.length, until);
    const length = fresh.reduce((sum, { text }) => sum + text.length, 0);
    const each = Math.max(0, end - now) / length; // seconds a letter
    for (const { from, to, text } of fresh) {
      const stop = Math.min(end, now + each * text.length);
      tokens.push({ from, to, start: now, end: stop, confidence: 1 });
      now = stop;
    }
  };
  for (const [was, at] of stayed) {
    const { start, end, confidence } = words[was] as Word;
    now = Math.min(now, start);
    fill(at, start);
    const { from, to } = parts[at] as { from: number; to: number };
    tokens.push({ from, to, start, end, confidence });
    now = end;
  }
  fill(parts.length, segment.end);
  return tokens;
}

/** Pairs of places of the longest list that both have in common, in order. */
export function common<T>(one: readonly T[], other: readonly T[]): [number, number][] {
  let head = 0;
  while (head < one.length && head < other.length && one[head] === other[head]) head++;
  let tail = 0;
  while (tail < one.length - head && tail < other.length - head && one.at(-1 - tail) === other.at(-1 - tail)) tail++;
  const [rows, columns] = [one.length - head - tail, other.length - head - tail];
  const most = Array.from({ length: rows + 1 }, () => new Uint16Array(columns + 1));
  const at = (i: number, j: number): number => most[i]?.[j] ?? 0;
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = columns - 1; j >= 0; j--) {
      (most[i] as Uint16Array)[j] = one[head + i] === other[head + j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const pairs: [number, number][] = Array.from({ length: head }, (_, n) => [n, n]);
  for (let i = 0, j = 0; i < rows && j < columns; ) {
    if (one[head + i] === other[head + j]) pairs.push([head + i++, head + j++]);
    else if (at(i + 1, j) >= at(i, j + 1)) i++;
    else j++;
  }
  for (let n = tail; n > 0; n--) pairs.push([one.length - n, other.length - n]);
  return pairs;
}

/** A segment's text in pieces, doubtful words apart. `token` is the word's number. */
export interface Piece {
  readonly text: string;
  readonly token: number | null;
}

export function piecesOf(text: string, tokens: readonly Token[]): Piece[] {
  const pieces: Piece[] = [];
  let done = 0;
  tokens.forEach(({ from, to, confidence }, token) => {
    if (confidence >= DOUBTFUL) return;
    if (from > done) pieces.push({ text: text.slice(done, from), token: null });
    pieces.push({ text: text.slice(from, to), token });
    done = to;
  });
  if (done < text.length) pieces.push({ text: text.slice(done), token: null });
  return pieces;
}
