/** Signing out: of all tabs of this browser that have the key, with all that they have not sent. */

import { session } from "../api/session.svelte";
import { t } from "../i18n/index.svelte";
import { standing } from "../live/standing.svelte";
import { emptyOutbox, forgetEdits } from "../transcript/outbox";
import { queue } from "../uploads/queue.svelte";
import { ask } from "./question.svelte";

type Said = { keyId: string; isOver: boolean };

const channel = new BroadcastChannel("parley sign-out");
channel.onmessage = ({ data }: MessageEvent<Said>) => void hear(data);

/** Asks first, where something would be lost: what waits to be sent does not stay on a machine that others may use. */
export async function signOut(): Promise<void> {
  const count = await queue.count();
  if (count && !(await ask({ title: t("app.signOutUnsent", { count }), yes: t("app.signOut"), isDangerous: true }))) return;
  if (standing.isRecording && !(await ask({ title: t("app.signOutRecording"), yes: t("app.signOut"), isDangerous: true }))) return;
  if (!(await emptyOutbox())) return;
  const keyId = session.info?.key_id ?? "";
  tell({ keyId, isOver: false });
  await queue.removeAll();
  await session.signOut(() => {
    standing.isRecording = false; // what the server has of it becomes a recording all the same
    tell({ keyId, isOver: true });
  });
}

const tell = (said: Said): void => channel.postMessage(said);

/** Another tab signs out: it has asked, and takes back what the server has of uploads. */
async function hear({ keyId, isOver }: Said): Promise<void> {
  if (session.info?.key_id !== keyId) return;
  await queue.forget();
  await forgetEdits();
  if (isOver) location.reload();
}
