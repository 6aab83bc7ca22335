/** The API as the page calls it, with the user's own key. */

const key = () => $("key").value.trim();

const PATIENCE_MS = 30_000;
const NETWORK = "network"; // code of an error for which the server was not reached, or not heard

/** The API's own message in an error, with its stable code. */
function problem(status, body) {
  return Object.assign(new Error(body?.message || `HTTP ${status}`), { code: body?.code, status });
}

/**
 * Calls the API. Resolves to the response, of a change with its whole body; rejects with the API's own message. `more`
 * are further headers.
 */
async function call(method, path, json, more = {}) {
  const headers = { Authorization: `Bearer ${key()}`, ...more };
  if (json) headers["Content-Type"] = "application/json";
  const waiting = new AbortController();
  const alarm = setTimeout(() => waiting.abort(), PATIENCE_MS);
  try {
    const answer = await fetch(path, { method, headers, body: json && JSON.stringify(json), signal: waiting.signal });
    if (!answer.ok) throw problem(answer.status, await answer.json().catch(() => null));
    return method === "GET" ? answer : new Response(await answer.text());
  } catch (error) {
    if (error.status) throw error;
    const reason = waiting.signal.aborted ? "The server does not answer." : "The server cannot be reached.";
    throw Object.assign(new Error(reason), { code: NETWORK });
  } finally {
    clearTimeout(alarm); // a transcript may take longer to come than its head
  }
}

/** Sends a form. `onProgress` hears percents; XMLHttpRequest, because fetch does not tell how much has been sent. */
function send(form, onProgress) {
  const upload = new XMLHttpRequest();
  const answer = new Promise((resolve, reject) => {
    upload.open("POST", "transcribe");
    upload.setRequestHeader("Authorization", `Bearer ${key()}`);
    upload.responseType = "json";
    upload.upload.onprogress = ({ loaded, total }) => onProgress(Math.floor((100 * loaded) / total));
    upload.onload = () => upload.status === 202
      ? resolve(upload.response)
      : reject(problem(upload.status, upload.response));
    upload.onerror = () => reject(new Error("The connection broke."));
    upload.onabort = () => reject(new Error("Cancelled."));
    upload.send(form);
  });
  return { answer, abort: () => upload.abort() };
}

const RETRY_MS = 1000;

/** The events of a task as they come. A stream that breaks is `lost`, and taken up behind the last event heard. */
async function* events(taskId) {
  const authorization = `Bearer ${key()}`; // the task's, also when another key is typed meanwhile
  let last = "0";
  while (last !== "end") {
    try {
      const more = { Authorization: authorization, Accept: "application/x-ndjson", "Last-Event-ID": last };
      for await (const event of lines(await call("GET", `tasks/${taskId}/events`, null, more))) {
        last = event.id ?? last;
        yield event;
      }
    } catch (error) {
      // TypeError is what a stream fails with when the network does
      const isPassing = error instanceof TypeError || error.code === NETWORK || [502, 503, 504].includes(error.status);
      if (!isPassing) throw error;
      yield { event: "lost" };
    }
    if (last !== "end") await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** A body of one JSON object per line. */
async function* lines(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    for (const line of whole) if (line) yield JSON.parse(line);
  }
}
