/**
 * What the browser's database is about to keep. It takes milliseconds to do so, in which a page may be reloaded; this is
 * written before the next letter can be typed.
 */

import type { Edit } from "./edit";

const PREFIX = "parley.edit.";

export class Journal {
  /** `storage` is the browser's `localStorage`, or null where it is refused. */
  constructor(private readonly storage: Storage | null) {}

  /** Whether it was taken: a browser may refuse to keep anything, or be full. */
  put(edit: Edit): boolean {
    const { theirs, ...rest } = edit;
    try {
      this.storage?.setItem(PREFIX + edit.id, JSON.stringify(theirs ? { ...rest, theirs: [...theirs] } : rest));
      return this.storage !== null;
    } catch {
      this.remove(edit.id); // an older one is no help
      return false;
    }
  }

  remove(id: string): void {
    this.storage?.removeItem(PREFIX + id);
  }

  all(): Edit[] {
    const keys = Array.from({ length: this.storage?.length ?? 0 }, (_, number) => this.storage?.key(number) ?? "");
    return keys.filter((key) => key.startsWith(PREFIX)).flatMap((key) => revived(this.storage?.getItem(key) ?? ""));
  }
}

/** None where it cannot be read, which must keep nobody from the others. */
function revived(text: string): Edit[] {
  try {
    const { theirs, ...rest } = JSON.parse(text) as Edit & { theirs?: Iterable<[never, never]> };
    return [theirs ? { ...rest, theirs: new Map(theirs) } : rest];
  } catch (error) {
    console.warn(error);
    return [];
  }
}

/** The journal of this browser. */
export function openJournal(): Journal {
  try {
    return new Journal(localStorage);
  } catch {
    return new Journal(null);
  }
}
