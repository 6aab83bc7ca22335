/** The microphone: which there are, and what one says. */

import worklet from "./capture?worker&url";
import { levelOf, pcmOf, Resampler } from "./sound";

/** Why there is no sound, as a message of the page: `live.denied` and so on. */
export type Trouble = "denied" | "none" | "busy" | "insecure";

const TROUBLES: Record<string, Trouble> = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "none",
  OverconstrainedError: "none",
};

export const troubleOf = (error: unknown): Trouble => (error instanceof DOMException && TROUBLES[error.name]) || "busy";

/** Browsers give sound to pages alone that nobody on the network can have changed. */
export const isAllowed = (): boolean => navigator.mediaDevices !== undefined;

export type Device = { id: string; name: string };

/** Those that the browser tells of; before it was allowed to, it tells no names. */
export async function devices(): Promise<Device[]> {
  const all = await navigator.mediaDevices.enumerateDevices();
  return all.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId).map(({ deviceId, label }) => ({ id: deviceId, name: label }));
}

/** Calls `hear` when one was connected or taken away. Returns what ends that. */
export function onDevices(hear: () => void): () => void {
  navigator.mediaDevices?.addEventListener("devicechange", hear);
  return () => navigator.mediaDevices?.removeEventListener("devicechange", hear);
}

export type Heard = { samples: Int16Array; level: number };

/** How long the audio thread may take to hand on the last tenth of a second. */
const FLUSH_MS = 300;

export class Microphone {
  #isPaused = false;
  #flushed = () => {};

  private constructor(
    private readonly stream: MediaStream,
    private readonly context: AudioContext,
    private readonly capture: AudioWorkletNode,
  ) {}

  /** Asks for it. Raises what getUserMedia raises; see `troubleOf`. `onGone`: it was taken away. */
  static async open(device: string, hear: (heard: Heard) => void, onGone: () => void): Promise<Microphone> {
    const audio: MediaTrackConstraints = {
      ...(device ? { deviceId: { exact: device } } : {}),
      echoCancellation: false, // it is made for calls, and takes from what is said
      noiseSuppression: false,
      autoGainControl: true,
    };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    let context: AudioContext | null = null;
    try {
      context = new AudioContext();
      await context.audioWorklet.addModule(worklet);
      const capture = new AudioWorkletNode(context, "capture");
      const microphone = new Microphone(stream, context, capture);
      const resampler = new Resampler(context.sampleRate);
      capture.port.onmessage = ({ data }: MessageEvent<Float32Array | null>) => {
        if (!data) return microphone.#flushed();
        const samples = resampler.feed(data);
        hear({ samples: pcmOf(samples), level: levelOf(samples) });
      };
      context.createMediaStreamSource(stream).connect(capture).connect(context.destination); // which hears nothing of it
      await context.resume();
      stream.getAudioTracks()[0]!.onended = onGone;
      const { state } = context; // a telephone call may take the sound away
      if (state === "running") context.onstatechange = () => microphone.#isStill() && onGone();
      return microphone;
    } catch (error) {
      stream.getTracks().forEach((track) => track.stop());
      await context?.close();
      throw error;
    }
  }

  /** Hands on what is left of the last tenth of a second. */
  flush(): Promise<void> {
    if (this.context.state !== "running") return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, FLUSH_MS);
      this.#flushed = () => {
        clearTimeout(timer);
        resolve();
      };
      this.capture.port.postMessage("flush");
    });
  }

  async pause(): Promise<void> {
    this.#isPaused = true;
    await this.flush();
    this.#enable(false);
    await this.context.suspend();
  }

  async resume(): Promise<void> {
    this.#enable(true);
    await this.context.resume();
    this.#isPaused = false;
  }

  #isStill(): boolean {
    return !this.#isPaused && this.context.state !== "running" && this.context.state !== "closed";
  }

  close(): void {
    this.context.onstatechange = null;
    for (const track of this.stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    void this.context.close();
  }

  #enable(isOn: boolean): void {
    for (const track of this.stream.getTracks()) track.enabled = isOn;
  }
}
