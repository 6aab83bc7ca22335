/** Who is signed in. The key goes into one request and is forgotten; the cookie that stands for it is HttpOnly. */

import { jsonOf } from "./body";
import { api, send, setCsrfToken, setGuard } from "./client";
import { Failure } from "./failure";
import type { Schemas } from "./types";

const RENEWAL_MS = 3_600_000;

type Standing = "unknown" | "out" | "in" | "ended";

class Session {
  /** `ended` is a session that was valid and is not any more: what is on the screen stays, behind the question for the key. */
  standing = $state<Standing>("unknown");
  info = $state<Schemas["SessionInfo"] | null>(null);

  #isRenewing = false;
  #waiting: (() => void)[] = [];
  #tabs: BroadcastChannel | null = null;

  constructor() {
    setGuard({
      onUnauthorized: () => {
        if (this.standing === "in" && !this.#isRenewing) this.standing = "ended";
      },
      renewToken: () => this.look().then(() => true, () => false),
    });
    setInterval(() => void this.#renew(), RENEWAL_MS);
  }

  get isAdmin(): boolean {
    return this.info?.scopes.includes("admin") ?? false;
  }

  get canTranscribe(): boolean {
    return this.info?.scopes.includes("transcribe") ?? false;
  }

  /** Tells other tabs whose key this one has, and looks again when another says that the cookie is another key's by now. */
  followTabs(): void {
    this.#tabs = new BroadcastChannel("parley session");
    this.#tabs.onmessage = ({ data }) => {
      if (this.info && this.info.key_id !== data) void this.look().catch(() => {});
    };
  }

  /** Finds out whether there is a session. Raises Failure when the server cannot be asked. Of another key: see #enter. */
  async look(): Promise<void> {
    try {
      await this.#enter(await api.get("/session"));
    } catch (error) {
      if (!(error instanceof Failure) || ![401, 404].includes(error.status)) throw error;
      this.standing = this.info ? "ended" : "out";
    }
  }

  /** Signs in with a key. Raises Failure. */
  async signIn(key: string): Promise<void> {
    const answer = await send("post", "session", { headers: { Authorization: `Bearer ${key}` } });
    void this.#enter(await jsonOf<Schemas["SessionInfo"]>(answer));
  }

  async signOut(onEnd: () => void): Promise<void> {
    await api.delete("/session");
    onEnd();
    location.replace(location.pathname + location.search); // to go to the list before would ask for it, and be refused
  }

  /**
   * When another tab has signed in with another key, the page begins anew: nothing of this key's stays on the screen, and
   * nothing is sent as the other. What waits for this waits until this key is back, should the person stay on the page.
   */
  async #enter(info: Schemas["SessionInfo"]): Promise<void> {
    if (this.info && this.info.key_id !== info.key_id) {
      setCsrfToken("");
      this.standing = "ended";
      location.reload();
      return new Promise((resolve) => this.#waiting.push(resolve));
    }
    setCsrfToken(info.csrf_token);
    this.info = info;
    this.standing = "in";
    this.#tabs?.postMessage(info.key_id);
    for (const goOn of this.#waiting.splice(0)) goOn();
  }

  /** Of two tabs that renew at once one is refused: the session is over only if there is none when it is asked for. */
  async #renew(): Promise<void> {
    if (this.standing !== "in" || this.#isRenewing) return;
    this.#isRenewing = true;
    try {
      const info = await api.post("/session").catch((error: unknown) => {
        if (!(error instanceof Failure) || error.status !== 401) throw error;
        return null;
      });
      await (info ? this.#enter(info) : this.look());
    } catch {
      // the server is away; the session is renewed in an hour
    } finally {
      this.#isRenewing = false;
    }
  }
}

export const session = new Session();
