import { expect, it, vi } from "vitest";

import { press } from "./keys";
import type { Player } from "./player.svelte";

vi.mock("./letters.svelte", () => ({ letterKeys: { areOn: true } }));

it("undoes nothing behind a dialog", () => {
  const deeds = { undo: vi.fn(), redo: vi.fn(), help: vi.fn() };
  const target = { matches: () => false, closest: () => null };
  const event = { target, key: "z", ctrlKey: true } as unknown as KeyboardEvent;
  let dialog: object | null = null;
  vi.stubGlobal("document", { querySelector: (selector: string) => (selector === "dialog:modal" ? dialog : null) });
  expect(press(event, {} as Player, deeds)).toBe(true);
  dialog = {};
  expect(press(event, {} as Player, deeds)).toBe(false);
  expect(deeds.undo).toHaveBeenCalledOnce();
});
