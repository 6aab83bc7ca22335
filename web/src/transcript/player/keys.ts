/** Keys of the whole screen: playing, undoing. */

import { letterKeys } from "./letters.svelte";
import type { Player } from "./player.svelte";
import { SKIP_S } from "./player.svelte";

const FIELDS = "input, textarea, select, [contenteditable]";
const PRESSED = "button, a, summary, [role=slider], [popover] *";

export interface Deeds {
  undo(): void;
  redo(): void;
  help(): void;
}

/** Does what a key says, unless it is meant for what has the focus. Returns whether it did. */
export function press(event: KeyboardEvent, player: Player, deeds: Deeds): boolean {
  if (document.querySelector("dialog:modal")) return false; // nothing behind it may change unseen
  const target = event.target as Element;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if ((event.ctrlKey || event.metaKey) && !event.altKey) {
    if (key === " ") player.toggle(); // also in the middle of a sentence
    else if (target.matches(FIELDS)) return false;
    else if (key === "z" && event.shiftKey) deeds.redo();
    else if (key === "z") deeds.undo();
    else if (key === "y") deeds.redo();
    else return false;
    return true;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches(FIELDS) || target.closest("[popover]")) return false;
  if (!letterKeys.areOn) return false;
  if (key === "k") player.toggle();
  else if (key === " " && !target.matches(PRESSED)) player.toggle();
  else if (key === "j") player.skip(-SKIP_S);
  else if (key === "l") player.skip(SKIP_S);
  else if (key === "<") player.faster(-1);
  else if (key === ">") player.faster(1);
  else if (key === "?") deeds.help();
  else return false;
  return true;
}
