/** What a recording is sent with. As fields hold it: all text, empty for the server's own default. */

import { session } from "../api/session.svelte";
import { commas } from "../i18n/lists";

export type Options = {
  language: string; // "auto", a code, or "several" for those of `languages`
  languages: string;
  script: string;
  model: string;
  task: "transcribe" | "translate";
  diarization: boolean;
  num_speakers: string;
  min_speakers: string;
  max_speakers: string;
  channels: "mix" | "split";
  track: string;
  max_duration: string; // minutes
  refresh: boolean;
  format: string;
  timestamp_granularity: "segment" | "word";
  prompt: string;
  hotwords: string;
  temperature: string;
  priority: "interactive" | "normal" | "batch";
  tags: string;
  reference: string;
  retention_days: string;
  webhook_url: string;
};

export const USUAL: Options = {
  language: "auto",
  languages: "",
  script: "",
  model: "auto",
  task: "transcribe",
  diarization: true,
  num_speakers: "",
  min_speakers: "",
  max_speakers: "",
  channels: "mix",
  track: "",
  max_duration: "",
  refresh: false,
  format: "json",
  timestamp_granularity: "segment",
  prompt: "",
  hotwords: "",
  temperature: "",
  priority: "normal",
  tags: "",
  reference: "",
  retention_days: "",
  webhook_url: "",
};

/** What somebody usually wants, by name: what it sets, and everything else stays. */
export const PRESETS = {
  interview: { diarization: true, channels: "mix", task: "transcribe", format: "json" },
  call: { diarization: false, channels: "split", task: "transcribe", format: "json" },
  subtitles: { diarization: false, channels: "mix", format: "srt", timestamp_granularity: "word" },
} as const satisfies Record<string, Partial<Options>>;

export type Preset = keyof typeof PRESETS;

/** The preset that these options are, if they are one. */
export function presetOf(options: Options): Preset | null {
  const names = Object.keys(PRESETS) as Preset[];
  return (
    names.find((name) => Object.entries(PRESETS[name]).every(([key, value]) => options[key as keyof Options] === value)) ?? null
  );
}

const DAY_S = 86_400;
const MINUTE_S = 60;

type Fields = Record<string, string | number | boolean>;

/** The fields of POST /transcribe, without those that would say what holds anyway. */
export function fieldsOf(options: Options, isUrl: boolean): Fields {
  const { language, languages, retention_days, max_duration, refresh, diarization, channels, ...rest } = options;
  const fields: Fields = { ...rest, channels };
  if (language === "several") fields.languages = languages;
  else fields.language = language;
  for (const name of ["languages", "hotwords", "tags"]) if (name in fields) fields[name] = commas(String(fields[name]));
  fields.diarization = diarization && channels === "mix"; // of channels that are kept apart the speakers are known
  if (!fields.diarization) for (const name of ["num_speakers", "min_speakers", "max_speakers"]) delete fields[name];
  if (retention_days) fields.retention_seconds = Math.round(Number(retention_days) * DAY_S);
  if (isUrl && max_duration) fields.max_duration = Math.round(Number(max_duration) * MINUTE_S);
  if (isUrl && refresh) fields.refresh = true;
  for (const [name, value] of Object.entries(fields)) {
    const isEmpty = value == null || (typeof value === "string" && !value.trim()); // an emptied number is null
    const isUsual = name in USUAL && value === USUAL[name as keyof Options] && name !== "diarization";
    if (isUsual || isEmpty) delete fields[name];
  }
  return fields;
}

const place = (): string => `parley.options.${session.info?.key_id}`;

/** Those that this key used last in this browser. What belongs to single recordings, or tells of them, is not kept. */
export function lastOptions(): Options {
  try {
    return { ...USUAL, ...(JSON.parse(localStorage.getItem(place()) ?? "{}") as Partial<Options>) };
  } catch {
    return { ...USUAL };
  }
}

export function keepOptions(options: Options): void {
  const { reference: _r, refresh: _f, webhook_url: _w, prompt: _p, hotwords: _h, tags: _t, ...kept } = options;
  localStorage.setItem(place(), JSON.stringify(kept));
}
