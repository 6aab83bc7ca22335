import { expect, it } from "vitest";

import { minutesByDay } from "./days";

it("has every day, the last one too, and those without minutes", () => {
  const items = [{ day: "2026-02-28", minutes: 4 }] as Parameters<typeof minutesByDay>[0];
  expect(minutesByDay(items, "2026-02-27", "2026-03-01")).toEqual([
    { day: "2026-02-27", minutes: 0 },
    { day: "2026-02-28", minutes: 4 },
    { day: "2026-03-01", minutes: 0 },
  ]);
});
