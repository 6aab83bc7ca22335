/** The formats of the API, and what can be chosen of each. */

export interface Format {
  readonly name: string;
  readonly ending: string;
  readonly isSubtitles?: boolean;
  /** Shown in the preview in place of a format that is no text. */
  readonly preview?: string;
}

export const FORMATS: readonly Format[] = [
  { name: "text", ending: "txt" },
  { name: "docx", ending: "docx", preview: "md" },
  { name: "md", ending: "md" },
  { name: "srt", ending: "srt", isSubtitles: true },
  { name: "vtt", ending: "vtt", isSubtitles: true },
  { name: "ttml", ending: "ttml", isSubtitles: true },
  { name: "csv", ending: "csv" },
  { name: "tsv", ending: "tsv" },
  { name: "json", ending: "json" },
  { name: "rttm", ending: "rttm" },
  { name: "ctm", ending: "ctm" },
  { name: "eaf", ending: "eaf" },
];

export const PRESETS = ["netflix", "bbc", "ebu"] as const;

/** "meeting.mp3" as "meeting.srt". */
export function fileName(recording: string, { ending }: Format): string {
  return `${recording.replace(/\.[^.]*$/, "") || "transcript"}.${ending}`;
}
