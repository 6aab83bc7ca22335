import { expect, it } from "vitest";

import { Framer, levelOf, pcmOf, RATE, Resampler, wavOf } from "./sound";

const tone = (hertz: number, rate: number, seconds: number) =>
  Float32Array.from({ length: Math.round(rate * seconds) }, (_, n) => 0.5 * Math.sin((2 * Math.PI * hertz * n) / rate));

/** The whole, fed in blocks of an odd size. */
function resampled(sound: Float32Array, rate: number): number[] {
  const resampler = new Resampler(rate);
  const out: number[] = [];
  for (let place = 0; place < sound.length; place += 441) out.push(...resampler.feed(sound.subarray(place, place + 441)));
  return out;
}

for (const rate of [8_000, 16_000, 44_100, 48_000, 96_000]) {
  it(`takes ${rate} samples a second to 16,000, as they are, and loses none`, () => {
    const out = resampled(tone(440, rate, 1), rate);
    expect(Math.abs(out.length - RATE)).toBeLessThan(80);
    const wanted = tone(440, RATE, 1);
    const worst = Math.max(...out.slice(200, -200).map((sample, n) => Math.abs(sample - wanted[n + 200]!)));
    expect(worst).toBeLessThan(0.01);
  });
}

it("lets nothing through that 16,000 samples a second cannot say", () => {
  const loudest = Math.max(...resampled(tone(11_000, 48_000, 1), 48_000).slice(200));
  expect(loudest).toBeLessThan(0.01);
});

it("cuts frames of a quarter of a second, whatever the blocks", () => {
  const samples = Int16Array.from({ length: 9_001 }, (_, n) => n);
  for (const size of [1, 128, 4_000, 9_001]) {
    const framer = new Framer();
    const frames = [];
    for (let place = 0; place < samples.length; place += size) frames.push(...framer.feed(samples.subarray(place, place + size)));
    frames.push(...framer.flush(), ...framer.flush());
    expect(frames.map((frame) => frame.length)).toEqual([8_000, 8_000, 2_002]);
    const joined = Uint8Array.from(frames.flatMap((frame) => [...frame]));
    expect(new Int16Array(joined.buffer)).toEqual(samples);
  }
});

it("keeps samples within 16 bits", () => {
  expect([...pcmOf(new Float32Array([-2, -1, 0, 1, 2]))]).toEqual([-32767, -32767, 0, 32767, 32767]);
});

it("measures how loud it is", () => {
  expect(levelOf(new Float32Array(100))).toBe(0);
  expect(levelOf(new Float32Array(100).fill(1))).toBe(1);
  expect(levelOf(new Float32Array(100).fill(0.0316))).toBeCloseTo(0.5, 2);
});

it("makes a WAV of frames", async () => {
  const file = wavOf([new Uint8Array([1, 2]), new Uint8Array([3, 4])], "a.wav");
  const view = new DataView(await file.arrayBuffer());
  expect(view.byteLength).toBe(48);
  expect([view.getUint32(4, true), view.getUint16(22, true), view.getUint32(24, true), view.getUint32(40, true)]).toEqual([40, 1, RATE, 4]);
  expect([44, 45, 46, 47].map((n) => view.getUint8(n))).toEqual([1, 2, 3, 4]);
});
