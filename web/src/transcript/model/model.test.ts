import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { differenceOf, runsOf } from "./diff";
import { clean, docOf, type Doc, type Result, type Segment } from "./doc";
import { merged, newVoice, peopleOf, separated } from "./people";
import { find, nextBehind, replaced } from "./search";
import { apply, compare, correctionOf, inverse, read, textOf, voiceOf, type Step } from "./steps";
import { blocksOf, indexAt, nextOf } from "./turns";
import { piecesOf, tokensOf } from "./words";

const segment = (id: number, text: string, voice: string | null = "spk_1"): Segment => ({
  id, start: 2 * id, end: 2 * id + 1.5, voice, text, confidence: 0.9,
});

function doc(texts: readonly string[], names: Record<string, string> = {}): Doc {
  const segments = texts.map((text, id) => segment(id, text, `spk_${1 + (id % 2)}`));
  const fixed = { version: 0, language: "en", duration: 2 * texts.length, model: "base", warnings: [], quality: null };
  return { ...fixed, segments, names, seconds: { spk_1: 10, spk_2: 30 } };
}

const texts = fc.array(fc.string({ unit: fc.constantFrom("a", "b", " ", "c.", "é", "中") }), { maxLength: 8 });
const done = (before: Doc, changes: Iterable<readonly [Step["place"], string | null]>): Doc =>
  apply(before, [...changes].map(([place, after]) => ({ place, before: read(before, place), after })));

describe("steps", () => {
  const steps = (before: Doc): fc.Arbitrary<Step[]> =>
    fc
      .uniqueArray(fc.tuple(fc.nat(Math.max(0, before.segments.length - 1)), fc.constantFrom("spk_1", "spk_2", "x", "y")), { selector: ([at]) => at })
      .map((list) =>
        list.map(([at, value]) => {
          const place = value.startsWith("spk") ? voiceOf(at) : textOf(at);
          return { place, before: read(before, place), after: value };
        }),
      );

  it("are taken back by their inverse", () => {
    const before = doc(["One.", "Two.", "Three."]);
    fc.assert(
      fc.property(steps(before), (list) => {
        const after = apply(before, list);
        expect(compare(after, list).open).toEqual([]);
        expect(apply(after, inverse(list)).segments).toEqual(before.segments);
      }),
    );
  });

  it("are a conflict exactly where something else stands", () => {
    const before = doc(["One.", "Two."]);
    const step = { place: textOf(0), before: "One.", after: "Mine." };
    expect(compare(apply(before, [{ ...step, after: "Theirs." }]), [step]).conflicts).toEqual(new Map([["text 0", "Theirs."]]));
    expect(compare(before, [step])).toEqual({ open: [step], conflicts: new Map() });
  });

  it("leave untouched segments the same objects", () => {
    const before = doc(["One.", "Two."]);
    expect(apply(before, [{ place: textOf(0), before: "One.", after: "1" }]).segments[1]).toBe(before.segments[1]);
  });

  it("are one correction of the API", () => {
    const list: Step[] = [
      { place: "text 3", before: "a", after: "b" },
      { place: "voice 3", before: "spk_1", after: "spk_2" },
      { place: "name spk_1", before: "Anna", after: null },
    ];
    expect(correctionOf(list)).toEqual({ speakers: { spk_1: null }, segments: [{ id: 3, text: "b", speaker: "spk_2" }] });
  });
});

describe("a transcript", () => {
  it("has ids of speakers where the API has names", () => {
    const segments = [{ id: 0, start: 0, end: 1, speaker: "Anna", text: "Hi.", confidence: 1 }];
    const speakers = [{ id: "spk_1", seconds: 1 }, { id: "spk_2", name: "Anna", seconds: 1 }];
    const result = { ...doc([]), segments, speakers } as unknown as Result;
    expect(docOf(result)).toMatchObject({ names: { spk_2: "Anna" }, segments: [{ voice: "spk_2" }] });
  });

  it("keeps a text on one line", () => {
    expect(clean(" a\n\tb\u0000c\u2028d ")).toBe("a b c d");
    expect(clean("10\u00a0%")).toBe("10\u00a0%");
  });

  it("is laid out in turns that hold every segment once, in order", () => {
    fc.assert(
      fc.property(texts, (list) => {
        const laid = blocksOf(doc(list)).flatMap(({ turns }) => turns.flatMap(({ segments }) => segments));
        expect(laid).toEqual(doc(list).segments);
      }),
    );
  });

  it("is laid out anew only where it has changed", () => {
    const before = doc(Array.from({ length: 600 }, (_, n) => `Number ${n}.`));
    const blocks = blocksOf(before);
    const after = blocksOf(apply(before, [{ place: voiceOf(200), before: "spk_1", after: "spk_2" }]), blocks);
    expect(after.map((block, n) => block === blocks[n])).toEqual(blocks.map((_, n) => n !== 1));
  });

  it("knows what is said at a second", () => {
    const { segments } = doc(["One.", "Two.", "Three."]);
    expect([-1, 0, 1.9, 2, 99].map((second) => indexAt(segments, second))).toEqual([-1, 0, 0, 1, 2]);
  });
});

describe("people", () => {
  it("are one person by one name, with the share of both", () => {
    const before = doc(["One.", "Two."]);
    const [anna, bert] = peopleOf(before) as [never, never];
    const after = done(before, merged(anna, bert, "Speaker 1"));
    const [one, ...others] = peopleOf(after);
    expect([one, others]).toMatchObject([{ name: "Speaker 1", voices: ["spk_1", "spk_2"], share: 1 }, []]);
    expect(peopleOf(done(after, separated(one as never))).map(({ key, share }) => [key, share])).toEqual([["spk_1", 0.25], ["spk_2", 0.75]]);
  });

  it("get the next free id", () => {
    expect(newVoice(doc(["One.", "Two."]))).toBe("spk_3");
  });
});

describe("words", () => {
  const word = (text: string, start: number, confidence = 0.9) => ({ word: text, start, end: start + 0.5, confidence });

  it("stand in the text of their segment, doubtful ones apart", () => {
    const tokens = tokensOf(segment(0, "Hello, my friend."), [word("Hello,", 0), word("my", 0.5, 0.2), word("friend.", 1)]);
    expect(tokens.map(({ from, to }) => [from, to])).toEqual([[0, 6], [7, 9], [10, 17]]);
    expect(piecesOf("Hello, my friend.", tokens)).toEqual([
      { text: "Hello, ", token: null }, { text: "my", token: 1 }, { text: " friend.", token: null },
    ]);
  });

  it("keep their times in a corrected text, and new ones share what is between", () => {
    const tokens = tokensOf(segment(0, "Hello my dear friend!"), [word("Hello,", 0), word("friend.", 1)]);
    expect(tokens.map(({ start, end }) => [start, end])).toEqual([[0, 0.5], [0.5, expect.closeTo(0.667, 2)], [expect.closeTo(0.667, 2), expect.closeTo(1, 5)], [1, 1.5]]);
    expect(tokens.map(({ confidence }) => confidence)).toEqual([0.9, 1, 1, 0.9]);
  });

  it("never overlap and never go back, whatever was typed", () => {
    fc.assert(
      fc.property(fc.lorem({ maxCount: 9 }), fc.lorem({ maxCount: 9 }), (said, typed) => {
        const words = said.split(" ").map((text, n) => word(text, n * 0.1));
        const tokens = tokensOf(segment(0, typed), words);
        expect(tokens.map(({ from, to }) => typed.slice(from, to)).join(" ")).toBe(typed);
        for (const [n, { from, start }] of tokens.entries()) {
          const last = tokens[n - 1];
          if (last) expect([from >= last.to, start >= last.start]).toEqual([true, true]);
        }
        expect(piecesOf(typed, tokens).map(({ text }) => text).join("")).toBe(typed);
      }),
    );
  });
});

describe("search", () => {
  const search = (text: string, isWhole = false, isCase = false) => ({ text, isWhole, isCase });

  it("finds signs as signs, whole words, and either case", () => {
    const before = doc(["The U.S. train.", "Trains, $1 (one)", "the  train"]);
    expect(find(before, search("u.s.")).length).toBe(1);
    expect(find(before, search("train")).length).toBe(3);
    expect(find(before, search("train", true)).map(({ segment: at }) => at)).toEqual([0, 2]);
    expect(find(before, search("Train", false, true)).length).toBe(1);
    expect(find(before, search("$1 (one)")).length).toBe(1);
    expect(find(before, search("the train")).length).toBe(1);
    expect(find(before, search(" "))).toEqual([]);
  });

  it("goes on behind what was replaced, and comes to an end", () => {
    const sought = search("train");
    let now = doc(["  train train.", "None.", "The train"]);
    let match = find(now, sought)[0];
    for (let count = 0; match; count++) {
      expect(count).toBeLessThan(3);
      const after = done(now, replaced(now, [match], "train and train"));
      const matches = find(after, sought);
      match = matches[nextBehind(now, match, "train and train", after, matches)];
      now = after;
    }
    expect(now.segments.map(({ text }) => text)).toEqual(["train and train train and train.", "None.", "The train and train"]);
  });

  it("replaces all it has found, and then finds no more", () => {
    fc.assert(
      fc.property(texts, fc.constantFrom("a", "b", "é", "中"), (list, sought) => {
        const before = doc(list.map(clean));
        const matches = find(before, search(sought));
        const after = done(before, replaced(before, matches, "$&"));
        expect(find(after, search(sought))).toEqual([]);
        expect(find(after, search("$&")).length).toBe(matches.length);
      }),
    );
  });
});

describe("a difference", () => {
  it("has the words of both texts, in order", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        const runs = runsOf(before, after);
        const of = (kind: string) => runs.filter((run) => run.kind !== kind).map(({ text }) => text).join("");
        expect([of("new"), of("gone")]).toEqual([before, after]);
      }),
    );
  });

  it("tells texts, speakers and names apart", () => {
    const before = doc(["One two.", "Three."]);
    const after = { ...done(before, [["text 0", "One too."], ["voice 1", "spk_1"]]), names: { spk_1: "Anna" } };
    const { changes, names } = differenceOf(before, after);
    expect(changes.map(({ segment: { id }, voices }) => [id, voices])).toEqual([[0, null], [1, ["spk_2", "spk_1"]]]);
    expect(changes[0]?.runs).toEqual([
      { text: "One ", kind: "same" }, { text: "two", kind: "gone" }, { text: "too", kind: "new" }, { text: ".", kind: "same" },
    ]);
    expect(names).toEqual([{ voice: "spk_1", before: null, after: "Anna" }]);
  });
});

it("goes on to what one voice says next", () => {
  const { segments } = doc(["One.", "Two.", "Three.", "Four."]); // two voices in turn, 1.5 s of each 2 s
  const next = (second: number) => nextOf(segments, ["spk_2"], second);
  expect([0, 2.5, 3.5, 3.7, 6, 7.5].map(next)).toEqual([2, 2.5, 6, 6, 6, null]);
  expect(nextOf(segments, ["spk_1", "spk_2"], 1.7)).toBe(2);
  expect(nextOf([], ["spk_1"], 0)).toBe(null);
});

it("stays with a voice that goes on while another speaks", () => {
  const said = (id: number, start: number, end: number, voice: string): Segment => ({ ...segment(id, "", voice), start, end });
  const call = [said(0, 0, 20, "spk_1"), said(1, 0, 3, "spk_2"), said(2, 5, 7, "spk_2"), said(3, 30, 35, "spk_1")];
  expect([0, 1, 5, 8, 19, 20].map((second) => nextOf(call, ["spk_1"], second))).toEqual([0, 1, 5, 8, 19, 30]);
});
