/** For tests: as much of IndexedDB as the store of uploads needs, with transactions one after another. */

type Request = { result?: unknown; onsuccess?: () => void };
type Rows = Map<unknown, unknown>;

export class Database {
  readonly tables: Record<string, Rows> = {};
  /** Bytes of files that were written so far. */
  copied = 0;
  /** Called before each write; what it throws is what the browser would. */
  onPut: (value: unknown) => void = () => {};
  #last: Promise<void> = Promise.resolve();

  open(): object {
    const opening = { result: this, onupgradeneeded: () => {}, onsuccess: () => {} };
    queueMicrotask(() => {
      if (!Object.keys(this.tables).length) opening.onupgradeneeded();
      opening.onsuccess();
    });
    return opening;
  }

  createObjectStore(name: string): void {
    this.tables[name] = new Map();
  }

  transaction(): object {
    const waiting: (() => void)[] = [];
    let begin = () => {};
    let isOver = false;
    const undo: (() => void)[] = [];
    const transaction = {
      error: null as Error | null,
      oncomplete: () => {},
      onabort: () => {},
      abort: () => {
        isOver = true;
        waiting.length = 0;
        for (const one of undo.reverse()) one();
        transaction.onabort();
      },
      objectStore: (name: string) => {
        const rows = this.tables[name] as Rows;
        const ask = (work: () => unknown): Request => {
          const request: Request = {};
          waiting.push(() => {
            request.result = work();
            request.onsuccess?.();
          });
          return request;
        };
        return {
          get: (id: unknown) => ask(() => structuredClone(rows.get(id))),
          getAll: () => ask(() => [...rows.values()].map((row) => structuredClone(row))),
          delete: (id: unknown) => ask(() => rows.delete(id)),
          put: (value: { id?: unknown; size?: number }, id: unknown = value.id) => {
            this.onPut(value);
            return ask(() => {
              const before = rows.get(id);
              undo.push(() => (before === undefined ? rows.delete(id) : rows.set(id, before)));
              if (value instanceof Blob) this.copied += value.size;
              rows.set(id, value instanceof Blob ? value : structuredClone(value));
            });
          },
        };
      },
    };
    const turn = new Promise<void>((resolve) => (begin = resolve));
    this.#last = this.#last.then(async () => {
      begin();
      await turn;
      for (let work = waiting.shift(); work && !isOver; work = waiting.shift()) {
        await new Promise((resolve) => setImmediate(resolve));
        work();
      }
      if (!isOver) transaction.oncomplete();
    });
    return transaction;
  }
}
