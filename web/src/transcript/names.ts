/** What speakers without a name are called, and whether their language is written from right to left. */

import { t } from "../i18n/index.svelte";
import { numberOf } from "./model/people";

/** "Speaker 2" for spk_2; an id of another form as it is. */
export function voiceName(voice: string): string {
  const number = numberOf(voice);
  return number ? t("transcript.speaker", { number }) : voice;
}

const RIGHT_TO_LEFT = new Set(["ar", "ckb", "dv", "fa", "he", "iw", "ps", "sd", "ug", "ur", "yi"]);

export function directionOf(language: string): "rtl" | "ltr" {
  return RIGHT_TO_LEFT.has(language.split("-")[0] ?? "") ? "rtl" : "ltr";
}
