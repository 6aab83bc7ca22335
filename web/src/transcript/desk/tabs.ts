/** Which other pages of this browser are alive, so that none takes over what another is working on. */

const CHANNEL = "parley tabs";
const PATIENCE_MS = 250;

/** Asks which of these pages are alive. */
export type Tabs = (own: string, others: readonly string[]) => Promise<ReadonlySet<string>>;

/** Answers other pages that ask, as long as this page lives. */
export function answerTabs(own: string): () => void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }) => {
    if (data === "who") channel.postMessage(own);
  };
  return () => channel.close();
}

export const tabsThatAnswer: Tabs = (own, others) => {
  const asked = new Set(others.filter((tab) => tab && tab !== own));
  if (!asked.size) return Promise.resolve(new Set());
  const alive = new Set<string>();
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }) => {
    if (asked.has(String(data))) alive.add(String(data));
  };
  channel.postMessage("who");
  return new Promise((resolve) => {
    setTimeout(() => {
      channel.close();
      resolve(alive);
    }, PATIENCE_MS);
  });
};
