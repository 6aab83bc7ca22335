/** The body of an answer, which may stop coming at any time: read for as long as something comes. */

import { connection } from "./connection.svelte";
import { asFailure, Failure, FOREIGN, SILENT, UNREACHED } from "./failure";

const PATIENCE_MS = 30_000;

/** The whole body as text. Raises Failure where the network breaks off or falls silent; an abort of the caller's stays one. */
export async function textOf(answer: Response, signal?: AbortSignal): Promise<string> {
  const reader = answer.body?.getReader();
  if (!reader) return "";
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const part = await next(reader, signal);
    if (part.done) return text + decoder.decode();
    text += decoder.decode(part.value, { stream: true });
  }
}

/** The body as JSON. What is whole and no JSON is not the API's. */
export async function jsonOf<T>(answer: Response, signal?: AbortSignal): Promise<T> {
  const text = await textOf(answer, signal);
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new Failure(FOREIGN, "What came is no answer of Parley.", answer.status);
  }
}

/** The failure that an answer is. An answer that is not the API's (a portal's, a proxy's) is not believed. */
export async function failureOf(answer: Response): Promise<Failure> {
  let body: unknown = null;
  try {
    body = await jsonOf(answer);
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== FOREIGN) return asFailure(error);
  }
  if (body && typeof body === "object" && "code" in body && "message" in body) {
    const { code, message, detail, request_id } = body as Record<string, unknown>;
    return new Failure(
      String(code),
      String(message),
      answer.status,
      (detail ?? {}) as Record<string, unknown>,
      request_id ? String(request_id) : null,
    );
  }
  return new Failure(FOREIGN, `HTTP ${answer.status}`, answer.status);
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

async function next(reader: Reader, signal?: AbortSignal): ReturnType<Reader["read"]> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Failure(SILENT, "The server does not answer.")), PATIENCE_MS);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } catch (error) {
    void reader.cancel().catch(() => {});
    if (signal?.aborted || error instanceof Failure) throw error;
    connection.lost();
    throw new Failure(UNREACHED, "The server cannot be reached.");
  } finally {
    clearTimeout(timer);
  }
}
