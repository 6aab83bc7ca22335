/** Files of what was dropped or chosen, those in folders too. */

import type { Picked } from "./chosen.svelte";

/** Names that folders have and nobody means. */
const isJunk = (name: string): boolean => name.startsWith(".") || name === "Thumbs.db" || name === "desktop.ini";

/** Files that were dropped. Must be called before the event ends: later the browser has forgotten them. */
export async function dropped(transfer: DataTransfer): Promise<Picked[]> {
  const entries = [...transfer.items].map((item) => (item.kind === "file" ? item.webkitGetAsEntry() : null));
  const files = [...transfer.files];
  const known = entries.filter((entry): entry is FileSystemEntry => entry !== null);
  if (!known.some((entry) => entry.isDirectory)) return files.map((file) => ({ file, path: file.name }));
  const found = await Promise.all(known.map((entry) => within(entry)));
  return found.flat();
}

/** Files of an <input>, those of a chosen folder with their paths. */
export function picked(files: FileList | null): Picked[] {
  return [...(files ?? [])]
    .filter((file) => !file.webkitRelativePath || !isJunk(file.name))
    .map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}

async function within(entry: FileSystemEntry): Promise<Picked[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ file, path: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const children: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break; // they come by the hundred
    children.push(...some);
  }
  const found = await Promise.all(children.filter((child) => !isJunk(child.name)).map((child) => within(child)));
  return found.flat();
}
