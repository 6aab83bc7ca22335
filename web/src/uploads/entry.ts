/** A recording on its way to the server, as it is shown and as it is kept for a reload. */

import type { Failure } from "../api/failure";

export type Fields = Record<string, string | number | boolean>;

/**
 * waiting: for its turn. sending. paused: by the person. lacking: its file is not at hand any more and has to be chosen
 * again. failed: with `problem`, and not passing by itself.
 */
export type State = "waiting" | "sending" | "paused" | "lacking" | "failed";

export type Entry = {
  id: string;
  owner: string; // page of a tab that sends it
  keyId: string; // of the API key: an upload belongs to it
  name: string;
  size: number;
  modified: number;
  fields: Fields;
  url: string | null; // in place of a file
  file: File | null;
  uploadId: string | null;
  state: State;
  sent: number; // bytes
  problem: { code: string; message: string } | null;
};

export const isSame = (entry: Entry, file: File): boolean =>
  entry.name === file.name && entry.size === file.size && (!entry.modified || entry.modified === file.lastModified);

export const problemOf = ({ code, message }: Failure): Entry["problem"] => ({ code, message });
