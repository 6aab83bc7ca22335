/** For tests: recordings on a server that keeps to the API's rules, behind a network that can be bad. */

import { Failure } from "../../api/failure";
import type { Result } from "../model/doc";
import type { Server } from "./server";

interface Entry {
  texts: string[];
  voices: string[];
  names: Record<string, string>;
}

export type Weather = "fine" | "request lost" | "answer lost" | "busy";

export class Archive implements Server {
  /** What happens to the next corrections, one after another; then all is fine. */
  weather: Weather[] = [];
  readonly #tasks = new Map<string, Entry[]>();

  add(task: string, ...texts: string[]): void {
    this.#tasks.set(task, [{ texts, voices: texts.map((_, number) => `spk_${1 + (number % 2)}`), names: {} }]);
  }

  erase(task: string): void {
    this.#tasks.delete(task);
  }

  /** What each segment says by now. */
  texts(task: string): string[] {
    return this.#newest(task).texts;
  }

  /** Who says each segment. */
  voices(task: string): string[] {
    const { voices, names } = this.#newest(task);
    return voices.map((voice) => names[voice] ?? voice);
  }

  version(task: string): number {
    return this.#versions(task).length - 1;
  }

  /** All that was ever written in a recording. */
  written(task: string): Set<string> {
    return new Set(this.#versions(task).flatMap(({ texts, names }) => [...texts, ...Object.values(names)]));
  }

  async result(task: string): Promise<Result> {
    await pause();
    const { texts, voices, names } = this.#newest(task);
    const version = this.version(task);
    await pause();
    const segments = texts.map((text, id) => {
      const voice = voices[id] as string;
      return { id, start: 2 * id, end: 2 * id + 1.5, speaker: names[voice] ?? voice, text, confidence: 0.9 };
    });
    const ids = [...new Set(voices)].sort();
    const speakers = ids.map((id) => ({ id, ...(names[id] ? { name: names[id] } : {}), seconds: 1.5 }));
    const fixed = { language: "en", duration: 2 * texts.length, model: "base", warnings: [], quality: null };
    return { ...fixed, version, segments, speakers };
  }

  exists(task: string): Promise<boolean> {
    return Promise.resolve(this.#tasks.has(task));
  }

  async correct(task: string, correction: Parameters<Server["correct"]>[1]): Promise<number> {
    await pause();
    const weather = this.weather.shift() ?? "fine";
    if (weather === "busy") throw new Failure("service_busy", "The server is busy.", 503);
    if (weather === "request lost") throw new Failure("unreached", "No connection.");
    const version = this.write(task, correction);
    await pause();
    if (weather === "answer lost") throw new Failure("unreached", "No connection.");
    return version;
  }

  /** What `PATCH` does, at once. */
  write(task: string, correction: Partial<Parameters<Server["correct"]>[1]>): number {
    const version = this.version(task);
    if (correction.version !== undefined && correction.version !== version)
      throw new Failure("version_conflict", `The transcript is at version ${version} by now.`, 409);
    const after = structuredClone(this.#newest(task));
    if ("restore" in correction && correction.restore !== undefined) {
      Object.assign(after, structuredClone(this.#versions(task)[correction.restore]));
    } else if ("segments" in correction || "speakers" in correction) {
      for (const { id, text, speaker } of correction.segments ?? []) {
        if (text !== undefined) after.texts[id] = text;
        if (speaker) after.voices[id] = speaker;
      }
      for (const [speaker, name] of Object.entries(correction.speakers ?? {})) {
        if (name === null) delete after.names[speaker];
        else after.names[speaker] = name;
      }
    }
    if (JSON.stringify(after) !== JSON.stringify(this.#newest(task))) this.#versions(task).push(after);
    return this.version(task);
  }

  #versions(task: string): Entry[] {
    const versions = this.#tasks.get(task);
    if (!versions) throw new Failure("not_found", "There is no such task.", 404);
    return versions;
  }

  #newest(task: string): Entry {
    return this.#versions(task).at(-1) as Entry;
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
