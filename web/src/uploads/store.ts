/**
 * Entries in IndexedDB, so that a reload or a crash of the browser ends no upload. Small files are kept beside them, each
 * written once: how an entry stands changes often, and its file never.
 */

import type { Entry } from "./entry";

const NAME = "parley.uploads";
const ENTRIES = "entries";
const FILES = "files";
const MOST_KEPT_BYTES = 1_000_000_000; // a larger file is chosen again rather than copied

type Tables = { entries: IDBObjectStore; files: IDBObjectStore };
type Row = Omit<Entry, "file">;

let opened: Promise<IDBDatabase> | null = null;
/** What is written of each entry, one after another: nothing comes back after it was removed. */
const turns = new Map<string, Promise<unknown>>();

function database(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(ENTRIES, { keyPath: "id" });
      request.result.createObjectStore(FILES);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

/** All of `work`, or none of it. Resolves to what `work` gives to `keep`. */
async function run<T>(mode: IDBTransactionMode, work: (tables: Tables, keep: (value: T) => void) => void): Promise<T | undefined> {
  const transaction = (await database()).transaction([ENTRIES, FILES], mode);
  let kept: T | undefined;
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(kept);
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error("The browser's database failed."));
    try {
      work({ entries: transaction.objectStore(ENTRIES), files: transaction.objectStore(FILES) }, (value) => (kept = value));
    } catch (error) {
      transaction.abort();
      reject(error as Error);
    }
  });
}

function inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
  const turn = (turns.get(id) ?? Promise.resolve()).then(work, work);
  turns.set(id, turn);
  const end = () => turns.get(id) === turn && turns.delete(id);
  turn.then(end, end);
  return turn;
}

/** Those that are kept, without their files; none where the browser keeps nothing (a private window of some). */
export async function readAll(): Promise<Entry[]> {
  const rows = await run<Row[]>("readonly", ({ entries }, keep) => {
    const request = entries.getAll() as IDBRequest<Row[]>;
    request.onsuccess = () => keep(request.result);
  }).catch(() => []);
  return (rows ?? []).map((row) => ({ ...row, file: null }));
}

/** Keeps a new entry, or one that got its file again. */
export async function writeWithFile({ file, ...row }: Entry): Promise<void> {
  if (!file || row.size > MOST_KEPT_BYTES) return write({ ...row, file });
  await inTurn(row.id, () =>
    run("readwrite", ({ entries, files }) => {
      files.put(file, row.id);
      entries.put(row);
    }).catch(() => run("readwrite", ({ entries }) => void entries.put(row))), // no room for the file
  ).catch(() => {});
}

/** Keeps how an entry stands. */
export async function write({ file: _file, ...row }: Entry): Promise<void> {
  await inTurn(row.id, () => run("readwrite", ({ entries }) => void entries.put(row))).catch(() => {});
}

/**
 * Makes an entry that was `owner`'s the other's, unless yet another tab was quicker or has sent it. Resolves to the entry
 * as it is then, with its file; to null when it is not to be had.
 */
export async function take(id: string, owner: string, other: string): Promise<Entry | null> {
  const taken = inTurn(id, () =>
    run<Entry>("readwrite", ({ entries, files }, keep) => {
      const request = entries.get(id) as IDBRequest<Row | undefined>;
      request.onsuccess = () => {
        const row = request.result;
        if (row?.owner !== owner) return;
        entries.put({ ...row, owner: other });
        const file = files.get(id) as IDBRequest<File | undefined>;
        file.onsuccess = () => keep({ ...row, owner: other, file: file.result ?? null });
      };
    }),
  );
  return (await taken.catch(() => null)) ?? null;
}

export async function remove(id: string): Promise<void> {
  await inTurn(id, () =>
    run("readwrite", ({ entries, files }) => {
      entries.delete(id);
      files.delete(id);
    }),
  ).catch(() => {});
}
