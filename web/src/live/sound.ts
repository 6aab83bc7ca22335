/** Samples of a microphone, whatever its rate, as frames of 16-bit PCM at 16 kHz. */

export const RATE = 16_000;
export const FRAME_S = 0.25;
const FRAME_SAMPLES = RATE * FRAME_S;

const ZEROS = 16; // of the filter, at each side
const FINENESS = 256; // of its table
const PASS = 0.94; // share of the band that is kept: the rest is where the filter falls

/** Makes sound of one rate that of another, block by block, by a windowed sinc. */
export class Resampler {
  readonly #step: number;
  readonly #half: number;
  readonly #table: Float32Array;
  #rest: Float32Array;
  #at: number; // in `#rest`, of the next sample that goes out

  constructor(from: number, to = RATE) {
    this.#step = from / to;
    this.#half = Math.ceil(ZEROS * Math.max(1, this.#step));
    const cutoff = PASS * Math.min(1, 1 / this.#step);
    this.#table = Float32Array.from({ length: this.#half * FINENESS + 2 }, (_, n) => {
      const x = n / FINENESS;
      const window = x < this.#half ? 0.5 + 0.5 * Math.cos((Math.PI * x) / this.#half) : 0;
      return window * (x ? Math.sin(Math.PI * cutoff * x) / (Math.PI * x) : cutoff);
    });
    this.#rest = new Float32Array(this.#half);
    this.#at = this.#half;
  }

  /** What can be said once this has come; the last half of the filter (a millisecond) waits for more. */
  feed(block: Float32Array): Float32Array {
    const sound = new Float32Array(this.#rest.length + block.length);
    sound.set(this.#rest);
    sound.set(block, this.#rest.length);
    const count = Math.max(0, Math.ceil((sound.length - this.#half - this.#at) / this.#step));
    const out = new Float32Array(count);
    for (let n = 0; n < count; n++, this.#at += this.#step) out[n] = this.#sample(sound, this.#at);
    const first = Math.floor(this.#at) - this.#half;
    this.#rest = sound.slice(first);
    this.#at -= first;
    return out;
  }

  #sample(sound: Float32Array, at: number): number {
    let sum = 0;
    const last = Math.floor(at) + this.#half;
    for (let n = Math.max(0, last - 2 * this.#half + 1); n <= last && n < sound.length; n++) {
      const x = Math.abs(n - at) * FINENESS;
      const low = Math.floor(x);
      const here = this.#table[low] ?? 0;
      sum += sound[n]! * (here + (x - low) * ((this.#table[low + 1] ?? 0) - here));
    }
    return sum;
  }
}

/** Samples from -1 to 1 as 16-bit PCM. */
export function pcmOf(samples: Float32Array): Int16Array {
  return Int16Array.from(samples, (sample) => Math.round(Math.max(-1, Math.min(1, sample)) * 32767));
}

/** Cuts samples into frames of a quarter of a second. */
export class Framer {
  #samples: Int16Array<ArrayBuffer> = new Int16Array(FRAME_SAMPLES);
  #filled = 0;

  feed(samples: Int16Array): Uint8Array<ArrayBuffer>[] {
    const frames = [];
    for (let place = 0; place < samples.length; ) {
      const part = samples.subarray(place, place + FRAME_SAMPLES - this.#filled);
      this.#samples.set(part, this.#filled);
      this.#filled += part.length;
      place += part.length;
      if (this.#filled === FRAME_SAMPLES) frames.push(this.#take());
    }
    return frames;
  }

  /** The rest, as a shorter frame, if there is one. */
  flush(): Uint8Array<ArrayBuffer>[] {
    return this.#filled ? [this.#take()] : [];
  }

  #take(): Uint8Array<ArrayBuffer> {
    const frame = new Uint8Array(this.#samples.buffer, 0, 2 * this.#filled);
    this.#samples = new Int16Array(FRAME_SAMPLES);
    this.#filled = 0;
    return frame;
  }
}

const QUIETEST_DB = -60;

/** How loud it is, from 0 (silence) to 1 (as loud as can be), as ears find it. */
export function levelOf(samples: Float32Array): number {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / Math.max(1, samples.length);
  return Math.max(0, Math.min(1, 1 - (10 * Math.log10(power + 1e-12)) / QUIETEST_DB));
}

const HEADER_BYTES = 44;

/** Frames as a WAV file. */
export function wavOf(frames: readonly Uint8Array<ArrayBuffer>[], name: string): File {
  const size = frames.reduce((sum, frame) => sum + frame.length, 0);
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  const tag = (place: number, text: string) => [...text].forEach((letter, n) => header.setUint8(place + n, letter.charCodeAt(0)));
  const number = (place: number, value: number) => header.setUint32(place, value, true);
  tag(0, "RIFF");
  number(4, HEADER_BYTES - 8 + size);
  tag(8, "WAVEfmt ");
  number(16, 16);
  number(20, 0x1_0001); // PCM of one channel
  number(24, RATE);
  number(28, 2 * RATE);
  number(32, 0x10_0002); // two bytes, 16 bits
  tag(36, "data");
  number(40, size);
  return new File([header.buffer, ...frames], name, { type: "audio/wav" });
}
