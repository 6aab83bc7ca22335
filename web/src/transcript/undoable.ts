/** Says what was done, with an undo of that and of nothing else. */

import { t } from "../i18n/index.svelte";
import { notices } from "../shell/notices.svelte";
import type { Desk } from "./desk/desk";
import type { Deed } from "./desk/history";

/** The notice goes when something else was done after the deed, or the deed was undone otherwise. */
export function sayUndoable(text: string, desk: Desk, deed: Deed | null, passes = true): void {
  if (!deed) return void notices.say(text);
  const run = () => (desk.history.isNewest(deed) ? desk.undo() : undefined);
  const notice = notices.say(text, { actions: [{ label: t("app.undo"), run }], passes });
  const end = desk.subscribe(() => {
    if (desk.history.isNewest(deed)) return;
    notices.drop(notice);
    end();
  });
}
