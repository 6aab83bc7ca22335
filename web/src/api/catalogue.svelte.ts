/** What can be asked for: models that a worker has, and languages. Asked once, when first needed. */

import { api } from "./client";
import type { Schemas } from "./types";

class Languages {
  #list = $state.raw<string[]>([]);
  #asked = false;

  /** Codes, in the order of the API; empty until the answer is there. */
  get list(): string[] {
    if (!this.#asked) {
      this.#asked = true;
      api.get("/languages").then(
        ({ languages }) => (this.#list = languages.map(({ code }) => code)),
        () => (this.#asked = false),
      );
    }
    return this.#list;
  }
}

export const languages = new Languages();

/** Models that may be chosen: all that are not known to be missing on every worker. Raises Failure. */
export async function usableModels(): Promise<{ models: Schemas["ModelInfo"][]; standard: string }> {
  const { models, default: standard } = await api.get("/models");
  return { models: models.filter((model) => model.installed !== false), standard };
}
