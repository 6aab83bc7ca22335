/** Recordings on their way: sent, worked on, and done. None of this touches what is being read or edited. */

let job = null; // { task, name, upload, view, text } of the recording that is being sent or worked on
const ended = new Map(); // task -> the line that says so

/** Whether a recording would be lost if the page were left. */
const isSending = () => Boolean(job && !job.task);

/** Draws the line of the job. */
function drawJob() {
  $("submit").disabled = Boolean(job);
  $("cancel").hidden = $("job").hidden = !job;
  $("stage").textContent = job?.text ?? "";
  $("progress").value = job?.progress ?? 0;
  $("sofar").hidden = !job?.view || shown === job.view;
}

/** Sends the form and follows the task to its end. */
async function run() {
  const [file] = $("file").files;
  const url = $("url").value.trim();
  if (Boolean(file) === Boolean(url)) throw new Error("Choose either a file or an address.");
  const form = new FormData();
  for (const name of ["language", "model", "task"]) form.append(name, $(name).value);
  form.append("diarization", $("diarization").checked);
  if ($("diarization").checked && $("speakers").value) form.append("num_speakers", $("speakers").value);
  form.append(file ? "file" : "url", file ?? url); // behind the options, which are read before a file's last byte
  const started = { task: null, name: file?.name ?? "recording", text: "", progress: 0, view: null };
  started.upload = send(form, (percent) => {
    started.progress = percent;
    if (file) started.text = `Sending ${quoted(started.name)}: ${percent} %`;
    drawJob();
  });
  job = started;
  say("");
  drawJob();
  try {
    started.task = (await started.upload.answer).task_id;
    if (file) audio.set(started.task, URL.createObjectURL(file));
    tellEnd(started, await follow(started));
  } finally {
    job = null;
    drawJob();
    if (started.task) await refreshHistory();
  }
}

/** Follows a job to its end. Resolves to its last status. */
async function follow(running) {
  let last = null;
  for await (const event of events(running.task)) {
    if (event.event === "deleted") return { status: "deleted" };
    if (event.event === "segment") hear(running, event);
    if (event.event === "lost") {
      running.text = `${quoted(running.name)}: the server cannot be reached, trying again …`;
      drawJob();
    }
    if (event.event !== "status") continue;
    last = event;
    running.progress = event.progress;
    const detail = event.stage_detail ? `: ${event.stage_detail}` : "";
    running.text = `${quoted(running.name)} ${event.status} ${event.progress} %${detail}`;
    drawJob();
  }
  return last;
}

/** Adds a sentence to the job's own view; who said it is known at the end. */
function hear(running, segment) {
  running.view ??= { job: running, root: element("div", "", "") };
  running.view.root.append(turn(segment.start, element("p", "", segment.text), false));
  if (!shown) show(running.view);
  else drawJob();
}

function tellEnd({ task, name, view }, { status, error }) {
  if (status === "done") {
    announce(task, `${quoted(name)} is done.`, name);
    return;
  }
  const line = notice(
    `${quoted(name)} ${status === "error" ? `failed: ${error.message}` : `was ${status}.`}`,
    { Dismiss: () => line.remove() },
    status === "error" ? "error" : "",
  );
  if (status === "deleted" && view && shown === view) closeTranscript();
}

/** Says that a transcript can be opened. */
function announce(task, text, name) {
  withdraw(task);
  ended.set(task, notice(text, {
    "Open transcript": () => openTranscript(task, name),
    Dismiss: () => withdraw(task),
  }));
}

/** Takes back what was said about the end of a task. */
function withdraw(task) {
  ended.get(task)?.remove();
  ended.delete(task);
}

$("form").onsubmit = guarded(async () => { if (!job) await run(); });
$("cancel").onclick = guarded(async () => {
  if (job.task) await call("POST", `tasks/${job.task}/cancel`);
  else job.upload.abort();
});
$("sofar").onclick = () => show(job.view);
