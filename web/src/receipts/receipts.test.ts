import { beforeEach, expect, it, vi } from "vitest";

import { session } from "../api/session.svelte";

const kept = new Map<string, string>();
const receipt = (task: string, erased_at: string) => ({ task_id: task, erased_at }) as never;

/** The receipts as one tab has them. */
async function tab() {
  vi.resetModules();
  (await import("../api/session.svelte")).session.info = { key_id: "a" } as typeof session.info;
  return import("./receipts.svelte");
}

beforeEach(() => {
  kept.clear();
  vi.stubGlobal("localStorage", { getItem: (name: string) => kept.get(name) ?? null, setItem: (name: string, text: string) => kept.set(name, text) });
});

it("loses no receipt that another tab, or this one meanwhile, has got", async () => {
  const [one, other] = [await tab(), await tab()];
  one.keepReceipt(receipt("1", "2026-01-01T00:00:00Z"), "first");
  one.keepReceipt(receipt("2", "2026-01-02T00:00:00Z"), "second");
  other.keepReceipt(receipt("3", "2026-01-03T00:00:00Z"), "third");
  const tasks = async () => (await tab()).receipts.list.map(({ task_id }) => task_id);
  const [, first] = one.receipts.list;
  one.forgetReceipt(first!);
  expect(await tasks()).toEqual(["3", "2"]);
  other.keepReceipt(receipt("4", "2026-01-04T00:00:00Z"), "fourth");
  one.restoreReceipt(first!);
  expect(await tasks()).toEqual(["4", "3", "2", "1"]);
});
