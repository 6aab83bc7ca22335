/** From a recording to its transcript. */

let taskId = null;
let upload = null;
let audio = null;

function busy(isBusy) {
  $("submit").disabled = isBusy;
  $("cancel").hidden = !isBusy;
  $("progress").hidden = !isBusy;
}

/** What this server offers, and what it has done for this key, once the key is known. */
async function greet() {
  if (!key()) return;
  const { languages } = await (await call("GET", "languages")).json();
  const { models } = await (await call("GET", "models")).json();
  languages.sort((a, b) => a.name.localeCompare(b.name));
  $("language").replaceChildren($("language")[0], ...languages.map(({ code, name }) => new Option(name, code)));
  $("model").replaceChildren($("model")[0], ...models.map(({ id }) => new Option(id, id)));
  say("");
  await listHistory(show);
}

/** Sends the form; a file is told by the percents that have gone out. Resolves to the new task's id. */
async function submit() {
  const [file] = $("file").files;
  const url = $("url").value.trim();
  if (Boolean(file) === Boolean(url)) throw new Error("Choose either a file or an address.");
  const form = new FormData();
  for (const name of ["language", "model", "task"]) form.append(name, $(name).value);
  form.append("diarization", $("diarization").checked);
  if ($("diarization").checked && $("speakers").value) form.append("num_speakers", $("speakers").value);
  form.append(file ? "file" : "url", file ?? url); // behind the options, which are read before a file's last byte
  if (audio) URL.revokeObjectURL(audio);
  audio = file ? URL.createObjectURL(file) : null;
  upload = send(form, (percent) => {
    $("progress").value = percent;
    if (file) say(`Sending ${percent} %`);
  });
  return (await upload.answer).task_id;
}

/** Follows a task to its end, and shows what is recognised meanwhile. Resolves to its last status. */
async function follow() {
  let last = null;
  for await (const event of events(taskId)) {
    if (event.event === "segment") showSoFar(event);
    if (event.event === "deleted") throw new Error("The task was deleted.");
    if (event.event !== "status") continue;
    last = event;
    $("progress").value = event.progress;
    say(`${event.status} ${event.progress} %${event.stage_detail ? `: ${event.stage_detail}` : ""}`);
  }
  return last;
}

async function show(id, name) {
  closeTranscript();
  await openTranscript(id, name, id === taskId ? audio : null);
  say("");
  $("result").scrollIntoView({ behavior: "smooth" });
}

$("form").onsubmit = guarded(async () => {
  closeTranscript();
  taskId = null;
  busy(true);
  try {
    taskId = await submit();
    const { status, error } = await follow();
    if (status !== "done") closeTranscript();
    if (error) throw new Error(error.message);
    if (status === "done") await show(taskId, $("file").files[0]?.name ?? "recording");
  } finally {
    busy(false);
    if (taskId) await listHistory();
  }
});
$("cancel").onclick = guarded(async () => {
  if (taskId) await call("POST", `tasks/${taskId}/cancel`);
  else upload?.abort();
});
$("delete").onclick = guarded(async () => {
  if (await removeTranscript()) await listHistory();
});
$("file").onchange = () => { if ($("file").files.length) $("url").value = ""; };
$("url").oninput = () => { if ($("url").value) $("file").value = ""; };
$("diarization").onchange = () => { $("speakers").disabled = !$("diarization").checked; };
$("key").onchange = guarded(async () => {
  sessionStorage.setItem("key", key());
  await greet();
});
$("key").value = sessionStorage.getItem("key") || "";
guarded(greet)();
