/** Short lines over the lower edge: what was done, with an undo; what failed, with what to do. */

export type Action = { label: string; run: () => unknown };
export type Notice = { id: number; text: string; tone: "plain" | "bad"; actions: Action[] };

const SHOWN_MS = 10_000;

class Notices {
  list = $state<Notice[]>([]);
  #count = 0;

  /** Says something for a while; what has an action or is an error stays until it is dealt with, unless `passes`. */
  say(text: string, { tone = "plain", actions = [], passes }: { tone?: Notice["tone"]; actions?: Action[]; passes?: boolean } = {}): number {
    const id = ++this.#count;
    this.list.push({ id, text, tone, actions });
    if (passes ?? (tone === "plain" && !actions.length)) setTimeout(() => this.drop(id), SHOWN_MS);
    return id;
  }

  drop(id: number): void {
    this.list = this.list.filter((one) => one.id !== id);
  }
}

export const notices = new Notices();
