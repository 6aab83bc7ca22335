/** One recording's way to the server: in parts, from where it stands, until it is a task. */

import { address, api, csrfHeader } from "../api/client";
import { connection } from "../api/connection.svelte";
import { Failure, SILENT, UNREACHED } from "../api/failure";
import { session } from "../api/session.svelte";
import type { Schemas } from "../api/types";
import type { Entry } from "./entry";

export const PART_BYTES = 8 * 1024 * 1024;
const PARTS_A_PAGE = 1000;

/** So long may a part stand still; and so long when the server was away and is back, as its connection may be dead. */
const STILL_MS = 60_000;
const STILL_ON_RETURN_MS = 5_000;

export const LACKING = "file_gone";
const EMPTY = "file_empty";

export type Watch = {
  signal: AbortSignal;
  /** The upload has begun, or another one in its place. */
  onUpload: (uploadId: string | null) => void;
  onSent: (bytes: number) => void;
};

/** Sends what the server does not have yet, and submits the task. Returns its id. Raises Failure. */
export async function transfer(entry: Entry, watch: Watch): Promise<string> {
  const uploadId = entry.url === null ? await uploaded(entry, watch) : null;
  const source = uploadId === null ? { url: entry.url } : { upload_id: uploadId };
  watch.signal.throwIfAborted();
  const { task_id } = await api.post("/transcribe", {
    json: { ...entry.fields, ...source } as never,
    headers: { "Idempotency-Key": `page-${entry.id}` }, // a second try after a lost answer makes no second task
    signal: watch.signal,
  });
  // else the recording would outlive its task, for as long as uploads are kept
  if (uploadId !== null) await api.delete("/uploads/{upload_id}", { path: { upload_id: uploadId } }).catch(() => {});
  return task_id;
}

async function uploaded(entry: Entry, watch: Watch): Promise<string> {
  const { file, signal } = { file: entry.file, signal: watch.signal };
  if (!file) throw new Failure(LACKING, "The file has to be chosen again.");
  if (!file.size) throw new Failure(EMPTY, "The file is empty.");
  let uploadId = entry.uploadId;
  for (;;) {
    uploadId ??= await begin(file, watch);
    try {
      await sendMissing(uploadId, file, watch);
      await api.post("/uploads/{upload_id}/complete", { path: { upload_id: uploadId }, signal });
      return uploadId;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (error.code === "missing_parts" || error.code === "wrong_state") continue;
      if (error.status !== 404) throw error;
      uploadId = null; // it has expired meanwhile
      watch.onUpload(null);
    }
  }
}

async function begin(file: File, { signal, onUpload }: Watch): Promise<string> {
  const { upload_id } = await api.post("/uploads", {
    json: { filename: file.name, bytes: file.size, part_bytes: Math.max(PART_BYTES, Math.ceil(file.size / 9000)) },
    signal,
  });
  onUpload(upload_id);
  return upload_id;
}

async function sendMissing(uploadId: string, file: File, watch: Watch): Promise<void> {
  let sent = -1;
  for (let first: number | null = 1; first !== null; ) {
    const upload: Schemas["UploadDetail"] = await api.get("/uploads/{upload_id}", {
      path: { upload_id: uploadId },
      query: { missing: true, limit: PARTS_A_PAGE, first_part: first },
      signal: watch.signal,
    });
    if (upload.state !== "open") return;
    if (sent < 0) sent = upload.received_bytes;
    watch.onSent(sent);
    for (const part of upload.parts) {
      const start = (part.number - 1) * upload.part_bytes;
      const before = sent;
      const content = file.slice(start, start + part.bytes);
      await sendPart(uploadId, part.number, content, watch.signal, (bytes) => watch.onSent(before + bytes));
      sent += part.bytes;
      watch.onSent(sent);
    }
    first = upload.next_part;
  }
}

async function sendPart(uploadId: string, number: number, part: Blob, signal: AbortSignal, onSent: (bytes: number) => void): Promise<void> {
  const path = address("/uploads/{upload_id}/parts/{number}", { upload_id: uploadId, number });
  try {
    await put(path, part, signal, onSent);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.code === "csrf_failed") {
      await session.look(); // another tab has renewed the session
      return put(path, part, signal, onSent);
    }
    if (error.code === UNREACHED && !(await isReadable(part))) {
      throw new Failure(LACKING, "The file was changed or moved. Choose it again.");
    }
    throw error;
  }
}

async function isReadable(part: Blob): Promise<boolean> {
  return part.slice(0, 1).arrayBuffer().then(() => true, () => false);
}

/** By XMLHttpRequest, because fetch does not tell how much has been sent. */
function put(path: string, part: Blob, signal: AbortSignal, onSent: (bytes: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let moved = 0;
    const live = () => {
      moved = Date.now();
      clearTimeout(timer);
      timer = setTimeout(stop, STILL_MS);
    };
    const stop = () => request.abort();
    const ignore = connection.onReturn(() => Date.now() - moved >= STILL_ON_RETURN_MS && stop());
    signal.addEventListener("abort", stop);
    const end = (work: () => void) => {
      clearTimeout(timer);
      ignore();
      signal.removeEventListener("abort", stop);
      work();
    };
    request.open("PUT", path);
    for (const [name, value] of Object.entries(csrfHeader())) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded }) => {
      live();
      onSent(loaded);
    };
    request.onload = () => end(() => (request.status < 300 ? resolve() : reject(refusal(request))));
    request.onerror = () => end(() => reject(new Failure(UNREACHED, "The connection broke.")));
    request.onabort = () => end(() => reject(signal.aborted ? signal.reason : new Failure(SILENT, "The server does not answer.")));
    live();
    request.send(part);
  });
}

function refusal({ status, response }: XMLHttpRequest): Failure {
  const body = (response ?? {}) as { code?: string; message?: string };
  return new Failure(body.code ?? "foreign_answer", body.message ?? `HTTP ${status}`, status);
}
