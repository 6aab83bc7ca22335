/** Which other pages of this browser are alive, so that none takes over what another is working on. */

const CHANNEL = "parley tabs";
const LOCK = "parley.page.";

const PATIENCE_MS = 250;

/** Five seconds. A page that lives holds a lock while it is too busy to answer; the lock of one that is left goes a little later. */
const MOST_TURNS = 20;

/** Asks which of these pages are alive. */
export type Tabs = (own: string, others: readonly string[]) => Promise<ReadonlySet<string>>;

/** Answers other pages that ask, as long as this page lives. */
export function answerTabs(own: string): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }) => {
    if (data === "who") channel.postMessage(own);
  };
  navigator.locks?.request(LOCK + own, () => new Promise(() => {})).catch(() => undefined);
}

export const tabsThatAnswer: Tabs = async (own, others) => {
  const asked = new Set(others.filter((tab) => tab && tab !== own));
  const alive = new Set<string>();
  if (!asked.size) return alive;
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }) => {
    if (asked.has(String(data))) alive.add(String(data));
  };
  channel.postMessage("who");
  let silent: string[] = [];
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    silent = (await holders()).filter((tab) => asked.has(tab) && !alive.has(tab));
    if (!silent.length) break;
  }
  channel.close();
  return new Set([...alive, ...silent]);
};

/** Pages that hold their lock; none where there are no locks, as over plain http. */
async function holders(): Promise<string[]> {
  const { held = [] } = (await navigator.locks?.query().catch(() => null)) ?? {};
  return held.flatMap(({ name = "" }) => (name.startsWith(LOCK) ? [name.slice(LOCK.length)] : []));
}
