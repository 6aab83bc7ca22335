/** One transcript: shown, played, corrected, downloaded. */

const FORMATS = ["text", "srt", "vtt", "json", "tsv", "rttm"];
let task = null; // { id, name } of the one that is shown
let result = null;
let lastSave = Promise.resolve();

/** Shows a finished task. `audio` is the address of its recording, if this page has it. */
async function openTranscript(id, name, audio) {
  task = { id, name };
  $("player").hidden = !audio;
  if (audio) $("player").src = audio;
  else $("player").removeAttribute("src");
  await load();
}

function closeTranscript() {
  $("result").hidden = true;
  $("player").pause();
}

/** Shows what was recognised so far; who said it is known at the end. */
function showSoFar(segment) {
  if ($("result").hidden) {
    $("transcript").replaceChildren();
    for (const id of ["player", "hint", "delete"]) $(id).hidden = true;
    $("downloads").hidden = true;
    $("facts").textContent = "So far:";
    $("result").hidden = false;
  }
  $("transcript").append(turn(segment.start, element("p", "", segment.text)));
}

async function load() {
  result = await (await call("GET", `result/${task.id}?format=json`)).json();
  showFacts();
  showTurns();
  for (const { message } of result.warnings) $("transcript").append(element("p", "muted", message));
  if (!result.segments.length) $("transcript").append(element("p", "muted", "No speech was found."));
  $("hint").hidden = !result.segments.length;
  $("delete").hidden = $("downloads").hidden = $("result").hidden = false;
}

/** What stands above the transcript, and changes with each correction. */
function showFacts() {
  const people = new Set(result.speakers.map(nameOf)).size;
  $("facts").textContent = `${result.language}, ${clock(result.duration)}, ${result.model}`
    + (people ? `, ${people} speaker${people === 1 ? "" : "s"}` : "")
    + (result.version ? `, version ${result.version}` : "");
  $("original").hidden = !result.version;
}

/** Shows consecutive segments of one speaker as one paragraph. */
function showTurns() {
  $("transcript").replaceChildren();
  let said = null;
  let speaker;
  for (const segment of result.segments) {
    if (said === null || segment.speaker !== speaker || segment.speaker === null) {
      const body = document.createElement("div");
      if (segment.speaker) body.append(nameTag(segment.speaker));
      said = element("p", "", "");
      body.append(said);
      $("transcript").append(turn(segment.start, body));
      speaker = segment.speaker;
    }
    said.append(said.firstChild ? " " : "", sentence(segment));
  }
}

/** A line with its time in front, which plays the recording from there when there is one to play. */
function turn(start, body) {
  const made = element("div", "turn", "");
  const play = () => {
    $("player").currentTime = start;
    $("player").play();
  };
  made.append($("player").hidden ? element("span", "muted", clock(start)) : button("when", clock(start), play), body);
  return made;
}

// ---- corrections

const nameOf = (speaker) => speaker.name ?? speaker.id;

/** Saves one correction after another, each to the version that is shown. Resolves to whether it was made. */
function save(change) {
  const done = lastSave.then(async () => {
    try {
      const { version } = await (await call("PATCH", `tasks/${task.id}`, { ...change, version: result.version })).json();
      result.version = version;
      showFacts();
      say("Saved.");
      return true;
    } catch (error) {
      if (error.code === "version_conflict") {
        await load();
        say("It has been corrected elsewhere; this is the newest version. Please edit it once more.", true);
      } else {
        say(error.message, true);
      }
      return false;
    }
  });
  lastSave = done.catch(() => {});
  return done;
}

/** A speaker's name, which becomes a field when it is clicked. */
function nameTag(name) {
  const tag = button("who", name, () => {
    const field = element("input", "who", "");
    field.value = tag.textContent;
    field.maxLength = 100;
    field.setAttribute("aria-label", "Name of this speaker");
    let isOver = false;
    const close = (isWanted) => {
      if (isOver) return;
      isOver = true;
      field.replaceWith(tag);
      if (isWanted && field.value.trim() !== tag.textContent) rename(tag.textContent, field.value.trim());
    };
    field.onblur = () => close(true);
    field.onkeydown = (event) => {
      if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
      event.preventDefault(); // else the same Enter would press the button that gets the focus
      close(event.key === "Enter");
      tag.focus();
    };
    tag.replaceWith(field);
    field.select();
  });
  tag.title = "Rename this speaker";
  return tag;
}

/** Gives all voices of this name another one; an empty one gives them back their own. */
async function rename(before, after) {
  const voices = result.speakers.filter((speaker) => nameOf(speaker) === before);
  if (!await save({ speakers: Object.fromEntries(voices.map(({ id }) => [id, after || null])) })) return;
  if (after && voices.length === 1 && !result.speakers.some((other) => nameOf(other) === after)) {
    voices[0].name = after;
    for (const segment of result.segments) if (segment.speaker === before) segment.speaker = after;
    for (const tag of document.querySelectorAll("button.who")) if (tag.textContent === before) tag.textContent = after;
    showFacts();
  } else {
    await load(); // voices came together or went apart
  }
}

/** A segment's text, edited where it stands. */
function sentence(segment) {
  const text = element("span", "said", segment.text);
  try { text.contentEditable = "plaintext-only"; } catch { text.contentEditable = "true"; }
  text.setAttribute("role", "textbox");
  text.setAttribute("aria-label", `Text at ${clock(segment.start)}`);
  text.onkeydown = (event) => {
    if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    if (event.key === "Escape") text.textContent = segment.text;
    text.blur();
  };
  text.onblur = async () => {
    const before = segment.text;
    const after = text.textContent.replace(/\s+/g, " ").trim();
    if (text.textContent !== after) text.textContent = after;
    if (after === before) return;
    segment.text = after;
    if (await save({ segments: [{ id: segment.id, text: after }] }) || segment.text !== after) return;
    segment.text = before;
    text.textContent = before;
  };
  return text;
}

async function download(format) {
  const answer = await call("GET", `result/${task.id}?format=${format}`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = `${task.name?.replace(/\.[^.]*$/, "") || "transcript"}.${format === "text" ? "txt" : format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

for (const format of FORMATS) $("downloads").append(button("", format, guarded(() => download(format))));

$("original").onclick = guarded(async () => {
  if (await save({ restore: 0 })) await load();
});

/** Deletes the task that is shown, once the user has said so. Resolves to whether it was done. */
async function removeTranscript() {
  if (!confirm("Delete the recording and its transcript for good?")) return false;
  const receipt = await (await call("DELETE", `tasks/${task.id}`)).json();
  closeTranscript();
  say(`Deleted: ${receipt.objects} objects removed.`);
  return true;
}
