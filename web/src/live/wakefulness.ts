/** Keeps the screen on, where the browser can: a phone that sleeps records nothing. */

export class Wakefulness {
  #lock: WakeLockSentinel | null = null;
  #isWanted = false;

  constructor() {
    // a browser lets go of it whenever the tab is hidden
    document.addEventListener("visibilitychange", () => void this.#ask());
  }

  begin(): void {
    this.#isWanted = true;
    void this.#ask();
  }

  end(): void {
    this.#isWanted = false;
    void this.#lock?.release().catch(() => {});
    this.#lock = null;
  }

  async #ask(): Promise<void> {
    if (!this.#isWanted || document.visibilityState !== "visible") return;
    const lock = await navigator.wakeLock?.request("screen").catch(() => null);
    if (this.#isWanted) this.#lock = lock ?? null;
    else void lock?.release().catch(() => {});
  }
}
