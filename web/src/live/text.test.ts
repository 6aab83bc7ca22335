import { expect, it } from "vitest";

import { NOTHING, said } from "./text";

const partial = (utterance: number, committed: string, tail = "") => ({ type: "partial", utterance, committed, tail }) as const;
const final = (utterance: number, text: string) => ({ type: "final", utterance, start: utterance, text }) as const;

it("replaces what was provisional by what is final", () => {
  const events = [partial(0, "I sea"), partial(0, "I sea it", "now"), final(0, " I see it now. "), partial(1, "", "And")];
  const text = events.reduce((so, event) => said(so, event), NOTHING);
  expect(text.finals.map((one) => one.text)).toEqual(["I see it now."]);
  expect(text.partial).toEqual({ utterance: 1, committed: "", tail: "And" });
});

it("says nothing twice, and an empty final not at all", () => {
  const events = [final(0, "One."), final(0, "One."), partial(1, "Hm"), final(1, " ")];
  const text = events.reduce((so, event) => said(so, event), NOTHING);
  expect(text).toEqual({ finals: [expect.objectContaining({ text: "One." })], partial: null });
});

it("keeps what was said in the session before, and goes on with its times", () => {
  const text = said(said(NOTHING, final(0, "One."), "a"), final(0, "Two."), "b", 60);
  expect(text.finals.map(({ text, start }) => [text, start])).toEqual([
    ["One.", 0],
    ["Two.", 60],
  ]);
});
