/** Where edits are kept until the server has them: in the browser, so that neither a reload nor a crash loses a word. */

import type { Edit } from "./edit";
import { openJournal, type Journal } from "./journal";

export interface EditStore {
  /** All edits of one key, in the order in which they were made. */
  all(owner: string): Promise<Edit[]>;
  /** Rejects where the edit would not outlive the page. */
  put(edit: Edit): Promise<void>;
  remove(id: string): Promise<void>;
}

const STORE = "edits";

/** Keeps edits while the page lives: for a page that makes none, and for tests. */
export class MemoryStore implements EditStore {
  readonly edits = new Map<string, Edit>();

  all(owner: string): Promise<Edit[]> {
    return Promise.resolve(sorted([...this.edits.values()].filter((edit) => edit.owner === owner)));
  }

  put(edit: Edit): Promise<void> {
    this.edits.set(edit.id, edit);
    return Promise.resolve();
  }

  remove(id: string): Promise<void> {
    this.edits.delete(id);
    return Promise.resolve();
  }
}

/** Keeps edits in a store that takes its time, and in a journal until it has them. */
export class JournalStore implements EditStore {
  #newest = new Map<string, Edit>();

  constructor(
    private readonly store: EditStore,
    private readonly journal: Journal,
  ) {}

  async all(owner: string): Promise<Edit[]> {
    const edits = new Map((await this.store.all(owner)).map((edit) => [edit.id, edit]));
    for (const edit of this.journal.all()) if (edit.owner === owner) edits.set(edit.id, edit);
    return sorted([...edits.values()]);
  }

  async put(edit: Edit): Promise<void> {
    this.#newest.set(edit.id, edit);
    const isNoted = this.journal.put(edit);
    const writing = this.store.put(edit).then(() => {
      if (this.#newest.get(edit.id) === edit) this.#forget(edit.id);
    });
    if (isNoted) writing.catch(() => undefined);
    else await writing;
  }

  async remove(id: string): Promise<void> {
    this.#forget(id);
    await this.store.remove(id);
  }

  #forget(id: string): void {
    this.#newest.delete(id);
    this.journal.remove(id);
  }
}

/** For browsers that refuse a database, as some do in private windows. */
class NoStore implements EditStore {
  all = (): Promise<Edit[]> => Promise.resolve([]);
  put = (): Promise<void> => Promise.reject(new Error("The browser refuses a database."));
  remove = (): Promise<void> => Promise.resolve();
}

class DatabaseStore implements EditStore {
  constructor(private readonly database: IDBDatabase) {}

  async all(owner: string): Promise<Edit[]> {
    const edits = await settled(this.database.transaction(STORE).objectStore(STORE).getAll());
    return sorted((edits as Edit[]).filter((edit) => edit.owner === owner));
  }

  put(edit: Edit): Promise<void> {
    return this.#write((store) => store.put(edit));
  }

  remove(id: string): Promise<void> {
    return this.#write((store) => store.delete(id));
  }

  /** A full disk shows at the transaction's end, when each request of it has succeeded. */
  async #write(work: (store: IDBObjectStore) => void): Promise<void> {
    const transaction = this.database.transaction(STORE, "readwrite");
    const end = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error("The browser's database failed."));
    });
    work(transaction.objectStore(STORE));
    await end;
  }
}

/** The store of this browser. */
export async function openStore(): Promise<EditStore> {
  return new JournalStore(await openDatabase().catch(() => new NoStore()), openJournal());
}

async function openDatabase(): Promise<EditStore> {
  const request = indexedDB.open("parley.edits", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
  return new DatabaseStore(await settled(request));
}

const sorted = (edits: Edit[]): Edit[] => edits.sort((one, other) => one.order - other.order);

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("The browser's database failed."));
  });
}
