import { expect, it } from "vitest";

import { asQuery, filtersOf, isNarrow } from "./filters";

it("takes from the address what it knows and nothing that is empty", () => {
  const filters = filtersOf(new URLSearchParams("q=+train+&tag=&status=done&other=1"));
  expect(filters).toEqual({ q: "train", status: "done" });
  expect(isNarrow(filters)).toBe(true);
  expect(isNarrow(filtersOf(new URLSearchParams("tag=")))).toBe(false);
});

it("includes the whole of the last day, in the person's own zone", () => {
  const { since, until } = asQuery({ since: "2026-03-01", until: "2026-03-01" });
  expect(Date.parse(String(until)) - Date.parse(String(since))).toBe(86_400_000);
});

it("ignores a day that is none", () => {
  expect(asQuery({ since: "soon" })).toMatchObject({ since: null });
});
