/** The API as the page calls it, with the user's own key. */

const key = () => $("key").value.trim();

/** The API's own message in an error, with its stable code. */
function problem(status, body) {
  return Object.assign(new Error(body?.message || `HTTP ${status}`), { code: body?.code, status });
}

/** Calls the API. Resolves to the response; rejects with the API's own message. */
async function call(method, path, json, more = {}) {
  const headers = { Authorization: `Bearer ${key()}`, ...more };
  if (json) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: json && JSON.stringify(json) });
  if (!answer.ok) throw problem(answer.status, await answer.json().catch(() => null));
  return answer;
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

/** The events of a task as they come; a stream that breaks is taken up behind the last event that was heard. */
async function* events(taskId) {
  let last = "0";
  while (last !== "end") {
    try {
      const more = { Accept: "application/x-ndjson", "Last-Event-ID": last };
      for await (const event of lines(await call("GET", `tasks/${taskId}/events`, null, more))) {
        yield event;
        last = event.id ?? last;
      }
    } catch (error) {
      // TypeError is what fetch and a stream fail with when the network does
      if (!(error instanceof TypeError) && ![502, 503, 504].includes(error.status)) throw error;
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
