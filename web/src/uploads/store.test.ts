import { beforeEach, expect, it, vi } from "vitest";

import { Database } from "./database";
import type { Entry } from "./entry";

let database: Database;

/** The store as one tab has it. */
async function tab() {
  vi.resetModules();
  return import("./store");
}

const file = () => new File(["x".repeat(1000)], "one.wav");
const entry = (change: Partial<Entry> = {}): Entry => ({
  id: "1", owner: "dead.1", keyId: "a", name: "one.wav", size: 1000, modified: 1, fields: {}, url: null, file: file(),
  uploadId: null, state: "waiting", sent: 0, problem: null, ...change,
});

beforeEach(() => {
  database = new Database();
  vi.stubGlobal("indexedDB", database);
});

it("copies a file once, however often its entry changes", async () => {
  const store = await tab();
  await store.writeWithFile(entry());
  for (let tries = 0; tries < 5; tries++) await store.write(entry({ problem: { code: "unreached", message: String(tries) } }));
  expect(database.copied).toBe(1000);
  const taken = await store.take("1", "dead.1", "new.1");
  expect(taken).toMatchObject({ owner: "new.1", problem: { message: "4" } });
  expect(taken?.file?.size).toBe(1000);
});

it("brings nothing back that was removed, also when there is no room for its file", async () => {
  database.onPut = (value) => {
    if (value instanceof Blob) throw new Error("no room");
  };
  const store = await tab();
  void store.writeWithFile(entry());
  void store.write(entry({ state: "sending" }));
  await store.remove("1");
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await store.readAll()).toEqual([]);
});

it("keeps an entry for whose file there is no room", async () => {
  database.onPut = (value) => {
    if (value instanceof Blob) throw new Error("no room");
  };
  const store = await tab();
  await store.writeWithFile(entry());
  expect(await store.readAll()).toEqual([entry({ file: null })]);
});

it("gives an entry of a closed tab to one of those that take it", async () => {
  const [one, other] = [await tab(), await tab()];
  await one.writeWithFile(entry());
  await one.readAll(); // both have seen it
  await other.readAll();
  const taken = await Promise.all([one.take("1", "dead.1", "one.1"), other.take("1", "dead.1", "other.1")]);
  expect(taken.filter(Boolean)).toHaveLength(1);
  await one.remove("1");
  expect(await other.take("1", "dead.1", "other.1")).toBeNull();
});
