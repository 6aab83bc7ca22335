/** The outbox of whoever is signed in. It lives as long as the page, whichever screen is shown. */

import { connection } from "../api/connection.svelte";
import { events } from "../api/events";
import { session } from "../api/session.svelte";
import { t } from "../i18n/index.svelte";
import { holdWhile } from "../shell/leaving";
import { ask } from "../shell/question.svelte";
import { Outbox } from "./desk/outbox";
import { gateway } from "./desk/server";
import { openStore } from "./desk/store";
import { answerTabs } from "./desk/tabs";

let opened: Promise<Outbox> | null = null;

/** The outbox, with all that earlier pages have left in it. */
export function openOutbox(): Promise<Outbox> {
  opened ??= start(session.info?.key_id ?? "");
  opened.catch(() => (opened = null)); // the next one tries anew
  return opened;
}

/** Removes from this browser what could not be saved, once the person agrees. Resolves to whether they do. */
export async function emptyOutbox(): Promise<boolean> {
  const outbox = await openOutbox();
  await outbox.flush();
  const kept = await (await openStore()).all(outbox.owner); // also of other tabs
  const count = new Set([...outbox.edits.map(({ edit }) => edit), ...kept].map(({ id }) => id)).size;
  if (!count) return true;
  const yes = await ask({ title: t("transcript.signOutUnsaved", { count }), yes: t("app.signOut"), isDangerous: true });
  if (yes) await forgetEdits();
  return yes;
}

/** Removes all edits of this key from this page and this browser. */
export async function forgetEdits(): Promise<void> {
  const outbox = await openOutbox();
  for (const { desk, edit } of outbox.edits) desk.discard(edit.id);
  const store = await openStore();
  for (const { id } of await store.all(outbox.owner)) await store.remove(id);
}

async function start(owner: string): Promise<Outbox> {
  const store = await openStore();
  const outbox = new Outbox(owner, gateway, store);
  answerTabs(outbox.tab);
  connection.onReturn(() => outbox.retry());
  events.listen((news) => news.event === "deleted" && outbox.erased(news.data.task_id));
  holdWhile(() => outbox.isUnkept);
  await outbox.open();
  return outbox;
}
