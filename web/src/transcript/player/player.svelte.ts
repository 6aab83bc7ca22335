/** The recording of one task: where it stands, and what hears of that. */

import { Failure } from "../../api/failure";

export const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2] as const;
export const SKIP_S = 5;

export class Player {
  time = $state(0);
  duration = $state(0);
  isPlaying = $state(false);
  /** There is no sound, and will be none. */
  isMissing = $state(false);
  /** The sound did not come; it may come when it is asked for again. */
  isBroken = $state(false);
  rate = $state(1);
  /** Whether the page keeps what is said in sight. */
  isFollowing = $state(true);
  /** The speaker who is heard alone: what others say is skipped. */
  voice = $state<string | null>(null);
  #element: HTMLAudioElement | null = null;
  readonly #listeners = new Set<(second: number) => void>();
  #frame = 0;

  constructor(readonly address: string) {}

  /** Takes the element that plays. Returns what ends that. */
  attach(element: HTMLAudioElement): () => void {
    this.#element = element;
    element.currentTime = this.time; // where it was put before there was one
    return () => {
      cancelAnimationFrame(this.#frame);
      element.pause();
      this.#element = null;
    };
  }

  /** Hears where the recording is, with each frame while it plays. */
  onTime(listener: (second: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  seek(second: number, isToPlay = this.isPlaying): void {
    this.time = Math.min(Math.max(0, second), this.duration || Infinity);
    if (this.#element) this.#element.currentTime = this.time;
    this.#tell();
    if (isToPlay) this.play();
  }

  skip(seconds: number): void {
    this.seek(this.time + seconds);
  }

  play(): void {
    void this.#element?.play().catch(() => undefined); // the browser wants a click first, or there is no sound
  }

  pause(): void {
    this.#element?.pause();
  }

  toggle(): void {
    if (this.isPlaying) this.pause();
    else this.play();
  }

  /** The element could not get or play the sound: `ask` finds out what its address answers. */
  async failed(ask: () => Promise<unknown>): Promise<void> {
    this.isPlaying = false;
    cancelAnimationFrame(this.#frame);
    try {
      await ask();
      this.isBroken = true;
    } catch (error) {
      if (error instanceof Failure && [404, 410].includes(error.status)) this.isMissing = true;
      else this.isBroken = true;
    }
  }

  /** Asks for the sound again, and goes on where it was. */
  retry(): void {
    if (!this.isBroken || !this.#element) return;
    const { time } = this;
    this.isBroken = false;
    this.#element.load();
    this.#element.currentTime = time;
    this.#element.playbackRate = this.rate;
  }

  setRate(rate: number): void {
    this.rate = rate;
    if (this.#element) this.#element.playbackRate = rate;
  }

  faster(steps: number): void {
    const place = SPEEDS.indexOf(this.rate as (typeof SPEEDS)[number]) + steps;
    this.setRate(SPEEDS[Math.min(Math.max(0, place), SPEEDS.length - 1)] as number);
  }

  // ---- what the element says

  began(): void {
    this.isPlaying = true;
    const follow = (): void => {
      this.look();
      this.#frame = requestAnimationFrame(follow);
    };
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(follow);
  }

  ended(): void {
    this.isPlaying = false;
    cancelAnimationFrame(this.#frame);
    this.look();
  }

  look(): void {
    if (!this.#element) return;
    this.time = this.#element.currentTime;
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener(this.time);
  }
}
