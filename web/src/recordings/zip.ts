/** Many files as one: a zip whose entries are stored as they are. */

export interface Entry {
  readonly name: string;
  readonly content: Uint8Array;
}

const UTF8_NAMES = 0x0800;
const VERSION = 20;
const DAY = 0x21; // 1980-01-01, the first that a zip can have

type Field = number | [number];

/** The archive, whose names are made different from each other and fit for any system. */
export function zip(entries: readonly Entry[]): Blob {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const [number, name] of apart(entries.map((entry) => entry.name)).entries()) {
    const { content } = entries[number]!;
    const bytes = new TextEncoder().encode(name);
    const about: Field[] = [VERSION, UTF8_NAMES, 0, 0, DAY, [crc32(content)], [content.length], [content.length], bytes.length, 0];
    const local = packed([0x04034b50], ...about);
    directory.push(packed([0x02014b50], VERSION, ...about, 0, 0, 0, [0], [offset]), bytes);
    parts.push(local, bytes, content);
    offset += local.length + bytes.length + content.length;
  }
  const length = directory.reduce((sum, part) => sum + part.length, 0);
  const end = packed([0x06054b50], 0, 0, entries.length, entries.length, [length], [offset], 0);
  return new Blob([...parts, ...directory, end] as BlobPart[], { type: "application/zip" });
}

/** "a.txt" twice is "a.txt" and "a (2).txt". */
export function apart(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const plain = name.replace(/[\\/:*?"<>|\p{Cc}]/gu, "_");
    const dot = plain.lastIndexOf(".");
    const [stem, ending] = dot > 0 ? [plain.slice(0, dot), plain.slice(dot)] : [plain, ""];
    let free = plain;
    for (let number = 2; taken.has(free.toLowerCase()); number++) free = `${stem} (${number})${ending}`;
    taken.add(free.toLowerCase());
    return free;
  });
}

/** Little-endian: numbers of two bytes, and those in brackets of four. */
function packed(...fields: Field[]): Uint8Array {
  const bytes = new Uint8Array(fields.reduce<number>((sum, field) => sum + (typeof field === "number" ? 2 : 4), 0));
  const view = new DataView(bytes.buffer);
  let place = 0;
  for (const field of fields) {
    if (typeof field === "number") view.setUint16(place, field, true);
    else view.setUint32(place, field[0], true);
    place += typeof field === "number" ? 2 : 4;
  }
  return bytes;
}

function crc32(content: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of content) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return (sum ^ 0xffffffff) >>> 0;
}
