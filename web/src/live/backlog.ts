/** Frames that the server has not acknowledged. They have the server's numbers: the first of a session is 1. */

export type Frame = Uint8Array<ArrayBuffer>;

export class Backlog {
  #frames: Frame[] = [];
  #acked = 0;
  #bytes = 0;

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Number of the last frame that is stored. */
  get acked(): number {
    return this.#acked;
  }

  /** Number of the last frame that there is. */
  get last(): number {
    return this.#acked + this.#frames.length;
  }

  add(frame: Frame): void {
    this.#frames.push(frame);
    this.#bytes += frame.length;
  }

  /** One that waits. */
  at(number: number): Frame {
    return this.#frames[number - this.#acked - 1]!;
  }

  /** Everything up to this frame is stored. An older number changes nothing. */
  ack(number: number): void {
    const stored = this.#frames.splice(0, Math.max(0, number - this.#acked));
    this.#acked += stored.length;
    for (const frame of stored) this.#bytes -= frame.length;
  }

  /** All sound that waits, which then waits no more. */
  take(): Frame[] {
    const frames = this.#frames.filter((frame) => frame.length);
    this.ack(this.last);
    return frames;
  }
}
