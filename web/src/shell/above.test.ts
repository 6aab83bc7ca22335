import { expect, it } from "vitest";

import { inOrder } from "./above";

it("has the dialog that was opened last at the end, wherever it stands in the page", () => {
  const [gate, question, share] = ["gate", "question", "share"];
  expect(inOrder([], [share])).toEqual([share]);
  expect(inOrder([share], [question, share])).toEqual([share, question]);
  expect(inOrder([share, question], [gate, question, share])).toEqual([share, question, gate]);
  expect(inOrder([share, question, gate], [gate, share])).toEqual([share, gate]);
  expect(inOrder([share], [])).toEqual([]);
});
