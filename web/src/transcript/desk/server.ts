/** What a desk asks of the API. */

import { jsonOf } from "../../api/body";
import { address, api, send } from "../../api/client";
import { Failure } from "../../api/failure";
import type { Result } from "../model/doc";
import type { Correction } from "../model/steps";

export interface Server {
  result(task: string): Promise<Result>;
  exists(task: string): Promise<boolean>;
  /** Resolves to the version that there is then. All raise Failure. */
  correct(task: string, correction: (Correction | { restore: number }) & { version: number }): Promise<number>;
}

/** Whether somebody has to sign in before the same call can succeed. */
export const isSignedOut = ({ status, code }: Failure): boolean => status === 401 || code === "csrf_failed";

/** Whether the API says that it has no such thing. */
export const isUnknown = (error: unknown): boolean =>
  error instanceof Failure && error.status === 404 && error.code === "not_found";

/** A result as JSON: the newest or another version, with the words of each segment where they are asked for. */
export async function readResult(task: string, query: { version?: number; words?: boolean } = {}): Promise<Result> {
  const { version, words } = query;
  const asked = { format: "json", version, timestamp_granularity: words ? "word" : undefined };
  return jsonOf<Result>(await send("get", address("/result/{task_id}", { task_id: task }, asked)));
}

export const gateway: Server = {
  result: (task) => readResult(task),
  exists: async (task) => {
    try {
      await api.get("/tasks/{task_id}", { path: { task_id: task } });
      return true;
    } catch (error) {
      if (isUnknown(error)) return false;
      throw error;
    }
  },
  correct: async (task, correction) =>
    (await api.patch("/tasks/{task_id}", { path: { task_id: task }, json: correction })).version,
};
