/** Whether the server is there, as the last call or the stream of events found. The banner shows it. */

const PATIENCE_MS = 10_000;

class Connection {
  #isLost = $state(false);
  #returns = new Set<() => void>();

  constructor() {
    globalThis.addEventListener?.("offline", () => this.lost());
    globalThis.addEventListener?.("online", () => void this.look());
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  lost(): void {
    this.#isLost = true;
  }

  reached(): void {
    if (!this.#isLost) return;
    this.#isLost = false;
    for (const hear of this.#returns) hear();
  }

  /** Asks the server itself. */
  async look(): Promise<void> {
    const isThere = await fetch("health/live", { signal: AbortSignal.timeout(PATIENCE_MS) }).then((answer) => answer.ok, () => false);
    if (isThere) this.reached();
    else this.lost();
  }

  /** Calls `hear` whenever the server is back. Returns what ends that. */
  onReturn(hear: () => void): () => void {
    this.#returns.add(hear);
    return () => this.#returns.delete(hear);
  }
}

export const connection = new Connection();
