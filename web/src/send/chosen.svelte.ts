/** Files and addresses that were chosen and wait for "Add to queue". */

export type Picked = { file: File; path: string };

class Chosen {
  files = $state.raw<Picked[]>([]);
  urls = $state("");

  /** Adds files, each once. */
  add(files: Picked[]): void {
    const sign = ({ file, path }: Picked) => [path, file.size, file.lastModified].join();
    const known = new Set(this.files.map(sign));
    this.files = [...this.files, ...files.filter((one) => !known.has(sign(one)))];
  }

  remove(picked: Picked): void {
    this.files = this.files.filter((one) => one !== picked);
  }

  clear(): void {
    this.files = [];
    this.urls = "";
  }
}

export const chosen = new Chosen();

/** The addresses in a text, a line each. */
export const linesOf = (text: string): string[] => [...new Set(text.split("\n").map((line) => line.trim()).filter(Boolean))];
