/**
 * A transcript as this page works with it.
 *
 * The API shows a named speaker by the name. Here a segment has the speaker's id (`voice`), and names stand apart, so
 * that a new name changes one thing and not each segment.
 */

export interface Word {
  readonly word: string;
  readonly start: number;
  readonly end: number;
  readonly confidence: number;
}

export interface Segment {
  readonly id: number;
  readonly start: number;
  readonly end: number;
  readonly voice: string | null;
  readonly text: string;
  readonly confidence: number;
}

export interface Warning {
  readonly code: string;
  readonly message: string;
  readonly start: number | null;
  readonly end: number | null;
}

export interface Stretch {
  readonly start: number;
  readonly end: number;
}

export interface Quality {
  readonly speech_seconds: number;
  readonly dropped_seconds: number;
  readonly overlap_seconds: number | null;
  readonly words: number;
  readonly uncertain_words: number;
  readonly mean_confidence: number | null;
  readonly dropped: readonly Stretch[];
  readonly loops: readonly Stretch[];
  readonly low_confidence: readonly Stretch[];
  readonly damaged: readonly Stretch[];
}

/** The fields of `GET /result/{task_id}` that are read here. */
export interface Result {
  readonly version: number;
  readonly language: string;
  readonly duration: number;
  readonly model: string;
  readonly segments: readonly {
    readonly id: number;
    readonly start: number;
    readonly end: number;
    readonly speaker: string | null;
    readonly text: string;
    readonly confidence: number;
    readonly words?: readonly Word[] | null;
  }[];
  readonly speakers: readonly { readonly id: string; readonly name?: string | null; readonly seconds: number }[];
  readonly warnings: readonly Warning[];
  readonly quality: Quality | null;
}

export interface Doc {
  readonly version: number;
  readonly language: string;
  readonly duration: number;
  readonly model: string;
  readonly segments: readonly Segment[];
  readonly names: Readonly<Record<string, string>>;
  readonly seconds: Readonly<Record<string, number>>;
  readonly warnings: readonly Warning[];
  readonly quality: Quality | null;
}

/** The transcript of an answer. Of voices that share a name, a segment is given the first: the API tells no more. */
export function docOf(result: Result): Doc {
  const ids = new Map<string, string>();
  const names: Record<string, string> = {};
  const seconds: Record<string, number> = {};
  for (const { id, name, seconds: talked } of result.speakers) {
    seconds[id] = talked;
    if (name) names[id] = name;
    if (name && !ids.has(name)) ids.set(name, id);
  }
  const { version, language, duration, model, warnings, quality } = result;
  const segments = result.segments.map(({ id, start, end, speaker, text, confidence }) => {
    const voice = speaker === null ? null : (ids.get(speaker) ?? speaker);
    return { id, start, end, voice, text, confidence };
  });
  return { version, language, duration, model, segments, names, seconds, warnings, quality };
}

/** A text as the server will keep it: one line, control characters and runs of white space as one space. */
export function clean(text: string): string {
  const line = text.replace(/[\0-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]/gu, " ");
  return line.replace(/\s+/g, (run) => (/[^\u00a0\u2007\u202f]/.test(run) ? " " : run.charAt(0))).trim();
}
