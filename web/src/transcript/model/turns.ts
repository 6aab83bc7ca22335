/** How a transcript is laid out: turns, which one person says, in blocks of some minutes. */

import type { Doc, Segment } from "./doc";

export interface Turn {
  /** Number of its first segment. */
  readonly key: number;
  readonly voice: string | null;
  readonly segments: readonly Segment[];
}

export interface Block {
  /** Its place in time: the block begins at `BLOCK_S` times that. */
  readonly key: number;
  readonly turns: readonly Turn[];
}

const BLOCK_S = 300;
const PAUSE_S = 2;
const LONG_S = 30;
const LONGEST_S = 90;

const SENTENCE_END = /[.!?…。！？؟۔।][\p{Pe}\p{Pf}\p{Po}]*$/u;

/** Whether a turn ends before `next`. `isOne` tells whether two voices are one person. */
function endsBefore(next: Segment, first: Segment, last: Segment, isOne: (a: string | null, b: string | null) => boolean): boolean {
  if (!isOne(last.voice, next.voice)) return true;
  if (next.start - last.end >= PAUSE_S) return true;
  const length = last.end - first.start;
  return length >= LONGEST_S || (length >= LONG_S && SENTENCE_END.test(last.text));
}

/**
 * The blocks of a transcript. Those of `before` whose segments are the same objects are given again as they are, so that
 * what has not changed is not drawn anew. Blocks are of fixed times: a new turn moves no other from block to block.
 */
export function blocksOf(doc: Doc, before: readonly Block[] = []): Block[] {
  const isOne = (one: string | null, other: string | null): boolean =>
    one === other || (one !== null && other !== null && doc.names[one] !== undefined && doc.names[one] === doc.names[other]);
  const blocks: { key: number; turns: Turn[] }[] = [];
  let turn: Segment[] = [];
  const close = (): void => {
    const first = turn[0];
    if (!first) return;
    const key = Math.floor(first.start / BLOCK_S);
    let block = blocks.at(-1);
    if (!block || block.key < key) blocks.push((block = { key, turns: [] }));
    block.turns.push({ key: first.id, voice: first.voice, segments: turn });
    turn = [];
  };
  for (const segment of doc.segments) {
    const [first, last] = [turn[0], turn.at(-1)];
    if (first && last && endsBefore(segment, first, last, isOne)) close();
    turn.push(segment);
  }
  close();
  return reuse(blocks, before);
}

function reuse(blocks: Block[], before: readonly Block[]): Block[] {
  const known = new Map(before.map((block) => [block.key, block]));
  return blocks.map((block) => {
    const old = known.get(block.key);
    if (!old) return block;
    const oldTurns = new Map(old.turns.map((turn) => [turn.key, turn]));
    const turns = block.turns.map((turn) => {
      const last = oldTurns.get(turn.key);
      return last && isSameList(last.segments, turn.segments) ? last : turn;
    });
    return isSameList(turns, old.turns) ? old : { ...block, turns };
  });
}

function isSameList<T>(one: readonly T[], other: readonly T[]): boolean {
  return one.length === other.length && one.every((item, number) => item === other[number]);
}

/** The number in the list of the segment that is said at a second, or of the last one before; -1 before the first. */
export function indexAt(segments: readonly Segment[], second: number): number {
  let [low, high] = [0, segments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((segments[middle] as Segment).start <= second) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The first second from `second` on in which one of these voices speaks; null where none does any more. */
export function nextOf(segments: readonly Segment[], voices: readonly string[], second: number): number | null {
  // from the beginning: what began long ago may still go on, where people speak at the same time
  const next = segments.find(({ voice, end }) => voice !== null && voices.includes(voice) && end > second);
  return next ? Math.max(next.start, second) : null;
}
