/** Records and shows what is said, from the click to the task. It goes on while other screens are shown. */

import { address } from "../api/client";
import { connection } from "../api/connection.svelte";
import { session } from "../api/session.svelte";
import type { Failure } from "../api/failure";
import { moment, span } from "../i18n/formats";
import { t } from "../i18n/index.svelte";
import { here } from "../routing/place.svelte";
import { fieldsOf, USUAL, type Options } from "../send/options";
import { explain } from "../shell/explain";
import { holdWhile } from "../shell/leaving";
import { notices } from "../shell/notices.svelte";
import { queue } from "../uploads/queue.svelte";
import type { Frame } from "./backlog";
import { isAllowed, Microphone, troubleOf, type Heard } from "./microphone";
import { Framer, FRAME_S, RATE, wavOf } from "./sound";
import { standing } from "./standing.svelte";
import { NO_LINE, Talk, type Ended } from "./talk";
import { NOTHING, said } from "./text";
import { Wakefulness } from "./wakefulness";

export type Choices = Pick<Options, "language" | "diarization" | "reference">;
export type Phase = "idle" | "asking" | "recording" | "paused" | "ending";

const BYTES_PER_S = 2 * RATE;
/** Sound that waits for the server: half an hour, 58 MB. */
const MOST_WAITING_S = 1_800;
/** A session takes what is older than a minute no faster than it is spoken: more of it is sent as a file. */
const MOST_CARRIED_S = 45;
const QUIET_LEVEL = 0.02;
const QUIET_S = 8;

class Recorder {
  phase = $state<Phase>("idle");
  isConnected = $state(false);
  seconds = $state(0);
  level = $state(0);
  /** Whether the server has let it in. */
  hasBegun = $state(false);
  /** Seconds that the server does not have. */
  waiting = $state(0);
  isQuiet = $state(false);
  text = $state.raw(NOTHING);
  problem = $state("");
  note = $state("");

  #microphone: Microphone | null = null;
  #framer = new Framer();
  #talk: Talk | null = null;
  #fields: Record<string, string> = {};
  #device = "";
  #begun = 0; // the second at which the session has begun
  #quiet = 0;
  #round = 0; // of what the microphone was asked for: whoever has stopped meanwhile wants none
  #isHearing = false;
  #pausing: Promise<void> | undefined;
  #parts = 0; // recordings that this one has become besides the last
  #wakefulness = new Wakefulness();

  constructor() {
    holdWhile(() => standing.isRecording);
    const wake = () => this.#talk?.wake();
    connection.onReturn(wake);
    addEventListener("online", wake);
  }

  /** How many more seconds can wait here. */
  get room(): number {
    return Math.max(0, MOST_WAITING_S - this.waiting);
  }

  async start(device: string, choices: Choices): Promise<void> {
    if (this.phase !== "idle") return;
    Object.assign(this, { seconds: 0, waiting: 0, level: 0, text: NOTHING, problem: "", note: "", isConnected: false, hasBegun: false, isQuiet: false });
    this.#framer = new Framer();
    this.#isHearing = true;
    this.#parts = 0;
    this.#quiet = 0;
    const fields = fieldsOf({ ...USUAL, ...choices }, false);
    this.#fields = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
    this.phase = "asking";
    if (!(await this.#listen(device))) {
      this.phase = "idle";
      return;
    }
    standing.isRecording = true;
    this.phase = "recording";
    this.#wakefulness.begin();
    this.#begin();
  }

  async pause(note = ""): Promise<void> {
    if (this.phase !== "recording") return;
    this.phase = "paused";
    this.note = note;
    this.level = 0;
    this.isQuiet = false;
    this.#pausing = this.#microphone?.pause();
    await this.#pausing;
    if (this.phase !== "paused") return;
    this.#isHearing = false;
    this.#flush();
    this.#talk?.add(new Uint8Array()); // what was being said has its final at once
  }

  async resume(): Promise<void> {
    if (this.phase !== "paused") return;
    this.problem = "";
    await this.#pausing; // else it would be the last word
    if (this.phase !== "paused") return;
    this.#isHearing = true;
    if (this.#microphone) await this.#microphone.resume();
    else if (!(await this.#listen(this.#device))) return;
    if (this.phase !== "paused") return;
    this.note = "";
    this.phase = "recording";
  }

  /** Goes on with another microphone, or says why it cannot, with the one before. Whether it has changed. */
  async change(device: string): Promise<boolean> {
    if (this.phase !== "recording" && this.phase !== "paused") return false;
    const isChanged = await this.#listen(device);
    if (isChanged && this.phase === "paused") await this.#microphone?.pause();
    return isChanged;
  }

  async stop(): Promise<void> {
    if (this.phase !== "recording" && this.phase !== "paused") return;
    this.phase = "ending";
    this.#round += 1;
    this.note = "";
    this.level = 0;
    this.isQuiet = false;
    await this.#microphone?.flush();
    this.#silence();
    this.#flush();
    this.#isHearing = false;
    const talk = this.#talk;
    if (!talk || talk.task || !this.hasBegun) {
      talk?.end();
      return;
    }
    this.#keep(talk); // there is still no room to go on in
    this.#over();
  }

  // ---- sound

  async #listen(device: string): Promise<boolean> {
    if (!isAllowed()) {
      this.problem = t("live.insecure");
      return false;
    }
    const round = this.#round;
    try {
      const fresh = await Microphone.open(device, (heard) => this.#hear(heard), () => this.#lose());
      if (round !== this.#round) {
        fresh.close();
        return false;
      }
      await this.#microphone?.flush();
      this.#microphone?.close();
      this.#microphone = fresh;
      this.#device = device;
      this.problem = "";
      return true;
    } catch (error) {
      if (round === this.#round) this.problem = t(`live.${troubleOf(error)}`);
      return false;
    }
  }

  #hear({ samples, level }: Heard): void {
    if (!this.#talk || !this.#isHearing) return;
    this.seconds += samples.length / RATE;
    this.level = this.phase === "recording" ? level : 0;
    this.#quiet = level > QUIET_LEVEL ? 0 : this.#quiet + samples.length / RATE;
    this.isQuiet = this.phase === "recording" && this.#quiet > QUIET_S;
    for (const frame of this.#framer.feed(samples)) this.#talk.add(frame);
    this.#count();
    if (this.waiting >= MOST_WAITING_S) void this.pause(t("live.full"));
  }

  #flush(): void {
    for (const frame of this.#framer.flush()) this.#talk?.add(frame);
    this.#count();
  }

  #count(): void {
    this.waiting = (this.#talk?.backlog.bytes ?? 0) / BYTES_PER_S;
  }

  #lose(): void {
    this.#silence();
    void this.pause(t("live.gone"));
  }

  #silence(): void {
    this.#microphone?.close();
    this.#microphone = null;
  }

  // ---- the session

  #begin(frames: Frame[] = []): void {
    this.text = { ...this.text, partial: null };
    const begun = this.seconds - frames.length * FRAME_S;
    this.#begun = begun;
    const talk: Talk = new Talk(
      { rate: String(RATE), ...this.#fields },
      {
        open: (query) => new WebSocket(new URL(address("/ws/stream", {}, query), document.baseURI).href.replace(/^http/, "ws")),
        onLine: (isOpen) => {
          this.isConnected = isOpen;
          this.hasBegun ||= isOpen;
          this.#count();
        },
        onText: (event) => (this.text = said(this.text, event, talk.task, begun)),
        onStored: () => this.#count(),
        onEnded: (ended, rest) => this.#end(ended, rest),
        onRefused: (failure) => this.#refuse(failure),
        onUnauthorized: () => void session.look().catch(() => {}),
      },
      this.hasBegun,
    );
    this.#talk = talk;
    for (const frame of frames) talk.add(frame);
  }

  /** A session that ends by itself while somebody speaks goes on as another: nothing of what is said is lost. */
  #end({ reason, task }: Ended, rest: Frame[]): void {
    const goesOn = (reason === "abandoned" || reason === "longest") && this.phase === "recording";
    const isCarried = goesOn && rest.length * FRAME_S <= MOST_CARRIED_S;
    if (rest.length && !isCarried) this.#send(rest);
    if (goesOn) {
      this.#parts += 1;
      this.note = t(isCarried ? "live.newPart" : "live.sentApart");
      this.#begin(isCarried ? rest : []);
      this.#count();
      return;
    }
    const isOurs = this.phase === "ending";
    this.#over();
    if (!isOurs) this.note = t(reason === "quota" ? "live.quota" : reason === "idle" ? "live.idle" : "live.ended");
    if (isOurs && here.place.screen === "live") {
      if (this.#parts) here.go("recordings");
      else here.go("transcript", task);
      return;
    }
    const look = { label: t("ends.open"), run: () => here.go("transcript", task) };
    notices.say(t("live.isRecorded"), { actions: [look] });
  }

  /** As a recording of its own, by the queue that keeps what it has until the server has it. */
  #send(frames: Frame[]): void {
    this.#parts += 1;
    const name = `${t("app.live")} ${moment(new Date())}`.replace(/[/\\:]/g, "-");
    const fields = this.#fields;
    queue.add([{ file: wavOf(frames, `${name}.wav`), name: `${name}.wav` }], [], () => fields);
  }

  /** What no session has taken. */
  #keep(talk: Talk): void {
    const frames = talk.backlog.take();
    if (frames.length) this.#send(frames);
  }

  #refuse(failure: Failure): void {
    if (this.#talk && this.hasBegun) this.#keep(this.#talk);
    this.#over();
    this.problem = reasonOf(failure);
  }

  #over(): void {
    this.#silence();
    this.#talk?.leave();
    this.#talk = null;
    this.#round += 1;
    this.#isHearing = false;
    this.text = { ...this.text, partial: null };
    this.#wakefulness.end();
    standing.isRecording = false;
    Object.assign(this, { phase: "idle", level: 0, waiting: 0, isQuiet: false, isConnected: false });
  }
}

function reasonOf(failure: Failure): string {
  if (failure.code === NO_LINE) return t("live.noLine");
  const after = Number(failure.detail.retry_after_s);
  const reason = failure.code === "service_busy" ? t("live.noRoom") : explain(failure);
  return after ? `${reason} ${t("live.again", { time: span(after) })}` : reason;
}

export const recorder = new Recorder();
