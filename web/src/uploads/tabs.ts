/** Which tab an upload belongs to, so that two tabs never send the same one, and one takes over from a closed one. */

import { answerTabs, tabsThatAnswer } from "../transcript/desk/tabs";

const PLACE = "parley.tab";
const BEAT_MS = 10_000;
const DEAD_MS = 180_000; // browsers let a hidden tab run once a minute

/** Random, also where a page over plain http has no crypto.randomUUID. */
export function freshId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** This tab's name: the same after a reload, another one in a duplicate. */
export async function tabName(): Promise<string> {
  let name = sessionStorage.getItem(PLACE) ?? freshId();
  if (!(await hold(name))) { // a duplicate has the other's storage
    name = freshId();
    await hold(name);
  }
  sessionStorage.setItem(PLACE, name);
  const beat = () => localStorage.setItem(`${PLACE}.${name}`, String(Date.now()));
  beat();
  setInterval(beat, BEAT_MS);
  return name;
}

/** The tab of an owner of entries: each page of a tab is another owner. */
export const tabOf = (owner: string): string => owner.split(".")[0]!;

/** Whether the name was free. Locks end with their tab; without them (plain http) the tabs that live are asked. */
async function hold(name: string): Promise<boolean> {
  if (!navigator.locks) {
    if ((await tabsThatAnswer("", [name])).has(name)) return false;
    answerTabs(name);
    return true;
  }
  return new Promise((resolve) => {
    void navigator.locks.request(`${PLACE}.${name}`, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock === null ? undefined : new Promise(() => {});
    });
  });
}

/** Whether the tab of this name is still open. */
export async function isOpen(name: string): Promise<boolean> {
  if (navigator.locks) {
    const { held = [] } = await navigator.locks.query();
    return held.some((lock) => lock.name === `${PLACE}.${name}`);
  }
  return Date.now() - Number(localStorage.getItem(`${PLACE}.${name}`) ?? 0) < DEAD_MS;
}
