/** What is shown of a recording: its transcript, to be read, played, corrected and downloaded, or its text so far. */

const FORMATS = ["text", "docx", "md", "srt", "vtt", "ttml", "json", "csv", "tsv", "rttm", "ctm", "eaf"];

/**
 * The view that is on the screen: { root, desk, parts, fields } of a transcript, or { root, job } of one that is in the
 * making. Only what acts on the screen asks for it. Whatever goes to the server was bound to its task before.
 */
let shown = null;
let openings = 0;
const audio = new Map(); // task -> address of its recording, of those that were sent from this page

/** Shows a finished task, once it has come. Of several that are opened at once the last is shown. */
async function openTranscript(task, name) {
  const number = ++openings;
  const desk = deskOf(task, name);
  try {
    await desk.read();
  } catch (error) {
    letGo(desk);
    throw error;
  }
  if (number !== openings) {
    letGo(desk);
    return;
  }
  if (isShown(desk)) {
    deskRead(desk);
  } else if (isTyping()) {
    announce(task, `${quoted(name)} has come.`, name); // the keys that are being pressed belong where they are
    return;
  } else {
    show(transcriptView(desk));
    say("");
  }
  withdraw(task);
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!isTyping()) $("result").scrollIntoView({ behavior: isCalm ? "auto" : "smooth" });
}

/** Whether a sentence or a name is being typed at this moment. */
const isTyping = () => $("transcript").contains(document.activeElement)
  && [...shown.desk?.drafts.values() ?? []].some(({ state }) => state === "typing");

function show(view) {
  const before = shown;
  if ($("transcript").contains(document.activeElement)) document.activeElement.blur(); // which saves it
  shown = view;
  $("transcript").replaceChildren(view.root);
  const { desk } = view;
  for (const id of ["delete", "downloads"]) $(id).hidden = !desk;
  $("hint").hidden = !desk?.result.segments.length;
  play(desk && audio.get(desk.task));
  showFacts(view);
  $("result").hidden = false;
  if (before?.desk) letGo(before.desk);
  if (desk) desks.set(desk.task, desk);
  drawJob();
}

function closeTranscript() {
  const before = shown;
  shown = null;
  $("result").hidden = true;
  $("player").pause();
  if (before?.desk) letGo(before.desk);
  drawJob();
}

/** Puts a recording into the player, or nothing. */
function play(address) {
  const player = $("player");
  player.hidden = !address;
  if (!address) player.removeAttribute("src");
  else if (player.src !== address) player.src = address;
}

/** What stands above a transcript, and changes with each correction. */
function showFacts({ desk }) {
  $("original").hidden = !desk?.result.version;
  if (!desk) {
    $("facts").textContent = "So far:";
    return;
  }
  const { language, duration, model, speakers, version } = desk.result;
  const people = new Set(speakers.map(nameOf)).size;
  $("facts").textContent = `${language}, ${clock(duration)}, ${model}`
    + (people ? `, ${people} speaker${people === 1 ? "" : "s"}` : "")
    + (version ? `, version ${version}` : "");
}

// ---- the transcript

function transcriptView(desk) {
  const view = { desk, root: element("div", "", ""), parts: [], fields: new Map(), isDrawing: false };
  draw(view);
  return view;
}

/** Consecutive segments of one speaker, which are shown as one paragraph. */
function paragraphs({ segments }) {
  const parts = [];
  for (const segment of segments) {
    const last = parts.at(-1);
    if (last && segment.speaker !== null && last[0].speaker === segment.speaker) last.push(segment);
    else parts.push([segment]);
  }
  return parts;
}

/** Draws all of it. */
function draw(view) {
  const { desk, root } = view;
  const isPlayed = audio.has(desk.task);
  view.fields.clear();
  view.parts = [];
  const made = [];
  for (const segments of paragraphs(desk.result)) {
    const [{ start, speaker }] = segments;
    const part = { speaker, segments: segments.map(({ id }) => id) };
    view.parts.push(part);
    const body = element("div", "", "");
    if (speaker) body.append(nameTag(view, part));
    const said = element("p", "", "");
    for (const segment of segments) said.append(said.firstChild ? " " : "", sentence(view, segment));
    body.append(said);
    made.push(turn(start, body, isPlayed));
  }
  for (const { message } of desk.result.warnings) made.push(element("p", "muted", message));
  if (!desk.result.segments.length) made.push(element("p", "muted", "No speech was found."));
  root.replaceChildren(...made);
  for (const draft of desk.drafts.values()) drawDraft(view, draft);
}

/** A line with its time in front, which plays the recording from there when there is one to play. */
function turn(start, body, isPlayed) {
  const made = element("div", "turn", "");
  const playFrom = () => {
    $("player").currentTime = start;
    $("player").play();
  };
  made.append(isPlayed ? button("when", clock(start), playFrom) : element("span", "muted", clock(start)), body);
  return made;
}

/** Shows one draft on its field, or what the server has there when it is over. */
function drawDraft(view, draft) {
  const { desk, fields, parts } = view;
  const current = desk.drafts.get(draft.place.id);
  if (draft.place.isName) {
    for (const part of parts) if (part.segments.includes(draft.place.segment) && part.tag) drawName(view, part);
    return;
  }
  const field = fields.get(draft.place.id);
  setText(field, current ? current.text : draft.place.read(desk.result));
  mark(field, current);
}

/** Called by a desk when it has read its transcript anew. */
function deskRead(desk) {
  if (!isShown(desk)) return;
  refresh(shown);
  showFacts(shown);
}

/** Brings a transcript up to date where it stands, or draws it anew when its paragraphs are others. */
function refresh(view) {
  const { desk, parts, fields } = view;
  const fresh = paragraphs(desk.result);
  const isSame = fresh.length === parts.length && fresh.every((segments, n) => segments[0].id === parts[n].segments[0]
    && segments.length === parts[n].segments.length && !segments[0].speaker === !parts[n].speaker);
  if (!isSame) {
    redraw(view);
    return;
  }
  for (const [number, segments] of fresh.entries()) {
    const part = parts[number];
    part.speaker = segments[0].speaker;
    if (part.tag) drawName(view, part);
    for (const { id, text } of segments) {
      const place = `text ${id}`;
      if (!desk.drafts.has(place)) setText(fields.get(place), text);
    }
  }
}

/** Draws all of it anew; what is being edited is edited on, from the same place. */
function redraw(view) {
  const field = document.activeElement;
  const [place] = [...view.fields].find(([, other]) => other === field) ?? [];
  const named = view.parts.find((part) => part.field);
  const caret = place ? caretIn(field) : 0;
  view.isDrawing = true; // nothing is left, so nothing is saved
  draw(view);
  view.isDrawing = false;
  if (place) {
    view.fields.get(place).focus({ preventScroll: true });
    setCaret(view.fields.get(place), caret);
  }
  if (named) {
    const part = view.parts.find(({ segments }) => segments.includes(named.segments[0]));
    openName(view, part);
    part.field.value = named.field.value;
  }
}

// ---- what is done with it

for (const format of FORMATS) $("downloads").append(button("", format, guarded(() => download(shown.desk, format))));

async function download(desk, format) {
  const content = await desk.export(format);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = `${desk.name.replace(/\.[^.]*$/, "") || "transcript"}.${format === "text" ? "txt" : format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  const count = desk.drafts.size;
  if (count) say(`The file lacks ${count} correction${count === 1 ? " that is" : "s that are"} not saved.`, true);
}

$("original").onclick = guarded(async () => {
  const { desk } = shown;
  if (!confirm(`Undo all corrections of ${quoted(desk.name)}, of names and of text?`)) return;
  const before = await desk.restore(0);
  say("");
  const line = notice(`All corrections of ${quoted(desk.name)} are undone.`, {
    "Bring them back": async () => {
      await desk.restore(before);
      line.remove();
      say("They are back.");
    },
    Dismiss: () => line.remove(),
  });
});

$("delete").onclick = guarded(async () => {
  const { desk } = shown;
  if (!confirm(`Delete ${quoted(desk.name)} and its transcript for good?`)) return;
  $("delete").disabled = true;
  try {
    const { objects } = await desk.erase();
    if (isShown(desk)) closeTranscript();
    withdraw(desk.task);
    delist(desk.task);
    say(`Deleted: ${objects} objects removed.`);
  } finally {
    $("delete").disabled = false;
  }
});
