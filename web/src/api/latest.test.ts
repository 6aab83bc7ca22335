import { expect, it } from "vitest";

import { latest } from "./latest";

it("lets the answer count that was asked for last, whenever it comes", () => {
  const begin = latest();
  const [first, second] = [begin(), begin()];
  expect(second()).toBe(true);
  expect(first()).toBe(false);
});

it("keeps the questions of different askers apart", () => {
  const [mine, theirs] = [latest(), latest()];
  const own = mine();
  theirs();
  expect(own()).toBe(true);
});
