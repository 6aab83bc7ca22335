/** A browser whose database takes its time, refuses, or is full. */

import { expect, it } from "vitest";
import { textOf } from "../model/steps";
import { Archive } from "./archive";
import type { Edit } from "./edit";
import { Journal } from "./journal";
import { Outbox } from "./outbox";
import { JournalStore, MemoryStore } from "./store";

/** A database that keeps nothing before it is told to go on. */
class Database extends MemoryStore {
  isFull = false;
  #waiting: (() => void)[] = [];

  override async put(edit: Edit): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.isFull) throw new DOMException("Full.", "QuotaExceededError");
    await super.put(edit);
  }

  async goOn(): Promise<void> {
    for (const go of this.#waiting.splice(0)) go();
    await pause();
  }
}

/** What `localStorage` does, in a browser that has room for so many letters. */
class Cupboard implements Storage {
  [name: string]: unknown;
  readonly entries = new Map<string, string>();
  constructor(private readonly room: number) {}

  get length(): number {
    return this.entries.size;
  }

  key = (number: number): string | null => [...this.entries.keys()][number] ?? null;
  getItem = (key: string): string | null => this.entries.get(key) ?? null;
  removeItem = (key: string): void => void this.entries.delete(key);
  clear = (): void => this.entries.clear();

  setItem(key: string, value: string): void {
    if (value.length > this.room) throw new DOMException("Full.", "QuotaExceededError");
    this.entries.set(key, value);
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function opened(room: number) {
  const archive = new Archive();
  archive.add("a", "One.", "Two.");
  const [database, cupboard] = [new Database(), new Cupboard(room)];
  const open = () => new Outbox("key", archive, new JournalStore(database, new Journal(cupboard)));
  const outbox = open();
  const desk = outbox.desk("a", "a.wav");
  await desk.load();
  return { archive, database, cupboard, outbox, desk, open };
}

it("has each letter before the database has it, for the page that comes after a reload", async () => {
  const { cupboard, desk, outbox, open } = await opened(10_000);
  desk.type(textOf(0), "Hal");
  desk.type(textOf(0), "Half");
  await pause();
  expect(outbox.isUnkept).toBe(false);
  const next = open();
  await next.open(async () => new Set());
  expect(next.edits.map(({ edit }) => edit.steps[0]?.after)).toEqual(["Half"]);
  expect(cupboard.length).toBe(1);
});

it("keeps what they wrote beside what I typed over a reload", async () => {
  const { archive, desk, open } = await opened(10_000);
  archive.write("a", { segments: [{ id: 0, text: "Theirs." }] });
  desk.type(textOf(0), "Mine.");
  desk.commit(textOf(0));
  await desk.idle();
  const next = open();
  await next.open(async () => new Set());
  expect([...(next.edits[0]?.edit.theirs ?? [])]).toEqual([["text 0", "Theirs."]]);
});

it("leaves nothing in the journal once the database has the newest letter", async () => {
  const { cupboard, database, desk } = await opened(10_000);
  desk.type(textOf(0), "Hal");
  await database.goOn();
  expect(cupboard.length).toBe(0);
  desk.type(textOf(0), "Half");
  expect(cupboard.length).toBe(1);
  desk.discard(desk.edits[0]?.id ?? "");
  await database.goOn();
  expect(cupboard.length).toBe(0);
});

it("counts what neither of them keeps, until the server has it", async () => {
  const { archive, database, desk, outbox } = await opened(0);
  database.isFull = true;
  archive.weather = ["request lost"];
  desk.type(textOf(0), "Mine.");
  expect([outbox.isUnkept, outbox.refusedCount]).toEqual([true, 0]); // it may still be kept
  await database.goOn();
  desk.type(textOf(1), "Mine, too.");
  await database.goOn();
  expect([outbox.isUnkept, outbox.refusedCount]).toEqual([true, 2]);
  for (const segment of [0, 1]) desk.commit(textOf(segment));
  await desk.idle();
  await desk.send();
  outbox.close();
  expect([outbox.isUnkept, outbox.refusedCount, outbox.edits.length]).toEqual([false, 0, 0]);
  expect(archive.texts("a")).toEqual(["Mine.", "Mine, too."]);
});
