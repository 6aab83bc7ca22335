/** In the browser's audio thread: hands on what the microphone says, of all its channels the mean. */

declare const sampleRate: number;
declare function registerProcessor(name: string, processor: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

const BLOCK_S = 0.1;

class Capture extends AudioWorkletProcessor {
  #block = new Float32Array(Math.round(sampleRate * BLOCK_S));
  #filled = 0;

  constructor() {
    super();
    this.port.onmessage = () => {
      this.port.postMessage(this.#block.slice(0, this.#filled));
      this.#filled = 0;
      this.port.postMessage(null);
    };
  }

  process([channels]: Float32Array[][]): boolean {
    const [first] = channels ?? [];
    if (!first) return true; // there is no sound yet, or no more
    for (let n = 0; n < first.length; n++) {
      this.#block[this.#filled++] = channels!.reduce((sum, channel) => sum + channel[n]!, 0) / channels!.length;
      if (this.#filled < this.#block.length) continue;
      this.port.postMessage(this.#block, [this.#block.buffer]);
      this.#block = new Float32Array(Math.round(sampleRate * BLOCK_S));
      this.#filled = 0;
    }
    return true;
  }
}

registerProcessor("capture", Capture);
