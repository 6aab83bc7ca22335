/** Draws a recording: how loud it is, in the colours of who speaks. */

import type { Segment } from "../model/doc";

export interface Drawing {
  /** Of each channel the loudest of each stretch, 0 to 1; without any, who speaks is drawn as bars. */
  readonly peaks: readonly (readonly number[])[];
  readonly duration: number;
  readonly segments: readonly Segment[];
  /** The colour of a voice, and of what nobody says. */
  readonly colour: (voice: string | null) => string;
}

const BAR = 3;
const GAP = 1;

/** Who speaks at the middle of each of `count` stretches of equal length. */
export function voicesAt(segments: readonly Segment[], duration: number, count: number): (string | null)[] {
  const voices = new Array<string | null>(count).fill(null);
  for (const { start, end, voice } of segments) {
    const first = Math.max(0, Math.floor((start / duration) * count));
    const last = Math.min(count - 1, Math.max(first, Math.ceil((end / duration) * count) - 1));
    for (let n = first; n <= last; n++) voices[n] = voice;
  }
  return voices;
}

/** Draws on a canvas of its own size, a lane for each channel. */
export function draw(canvas: HTMLCanvasElement, { peaks, duration, segments, colour }: Drawing): void {
  const context = canvas.getContext("2d");
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!context || !width || !duration) return;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  context.scale(ratio, ratio);
  const count = Math.floor(width / (BAR + GAP));
  const channels = peaks.length ? peaks : [[]];
  const lane = height / channels.length;
  channels.forEach((loudness, channel) => {
    const own = channels.length > 1 ? segments.filter(({ voice }) => voice === `spk_${channel + 1}`) : segments;
    const voices = voicesAt(own, duration, count);
    for (let n = 0; n < count; n++) {
      const level = loudness.length ? loudest(loudness, n / count, (n + 1) / count) : voices[n] ? 0.6 : 0.1;
      const tall = Math.max(1, level * (lane - 2));
      context.fillStyle = colour(voices[n] ?? null);
      context.fillRect(n * (BAR + GAP), channel * lane + (lane - tall) / 2, BAR, tall);
    }
  });
}

/** The loudest value between two shares of a list. */
function loudest(values: readonly number[], from: number, to: number): number {
  const first = Math.floor(from * values.length);
  const last = Math.max(first + 1, Math.floor(to * values.length));
  let most = 0;
  for (let n = first; n < last && n < values.length; n++) most = Math.max(most, values[n] as number);
  return most;
}
