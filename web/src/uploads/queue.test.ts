/** Two tabs of one browser, with one database. Nothing is sent here: the server never answers. */

import { beforeEach, expect, it, vi } from "vitest";

import { Database } from "./database";

let calls: string[];

async function tab(name: string) {
  vi.resetModules();
  vi.stubGlobal("sessionStorage", { getItem: () => name, setItem: () => {} });
  (await import("../api/session.svelte")).session.info = { key_id: "a" } as never;
  const { queue } = await import("./queue.svelte");
  await queue.start();
  return queue;
}

const file = (name: string) => ({ name, file: new File(["x"], name) });

beforeEach(() => {
  calls = [];
  const held = new Set<string>();
  vi.stubGlobal("indexedDB", new Database());
  vi.stubGlobal("addEventListener", () => {});
  vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => {} });
  vi.stubGlobal("navigator", {
    locks: {
      request: (name: string, _: object, work: (lock: object | null) => void) => {
        work(held.has(name) ? null : {});
        held.add(name);
      },
      query: async () => ({ held: [...held].map((name) => ({ name })) }),
    },
  });
  vi.stubGlobal("fetch", (url: string, { method }: { method: string }) => {
    calls.push(`${method} ${url}`);
    return method === "DELETE" ? Promise.resolve(new Response(null, { status: 204 })) : new Promise(() => {});
  });
});

it("knows and takes back what other tabs have not sent", async () => {
  const one = await tab("one");
  one.add([file("1.wav"), file("2.wav")], [], () => ({}));
  const other = await tab("other");
  other.add([file("3.wav")], [], () => ({}));
  expect(other.entries).toHaveLength(1);
  expect(await other.count()).toBe(3);
  await Promise.all([one.forget(), other.removeAll()]);
  expect([await one.count(), await other.count()]).toEqual([0, 0]);
});
