/** The tasks of this key, newest first, and those in which words were said. */

const PAGE = 10;
let cursor = null;
let words = ""; // that the list is about
let listings = 0;

/** Lists from the newest on. */
async function listHistory() {
  if (!key()) return;
  words = $("words").value.trim();
  cursor = null;
  const number = ++listings;
  const page = await fetchPage();
  if (number !== listings) return; // another list was asked for meanwhile
  $("history").replaceChildren(...page);
  if (!page.length) $("history").append(element("li", "muted", words ? "Nobody said that." : "None yet."));
  $("archive").hidden = false;
}

async function fetchPage() {
  const query = new URLSearchParams({ limit: PAGE });
  if (words) query.set("q", words);
  if (cursor) query.set("cursor", cursor);
  const number = listings;
  const { items, next_cursor } = await (await call("GET", `history?${query}`)).json();
  if (number !== listings) return [];
  cursor = next_cursor;
  $("more").hidden = !cursor;
  return items.map(entry);
}

/** Brings the newest tasks up to date and leaves the rest of the list, or what was searched for, as it is. */
async function refreshHistory() {
  if (words) return;
  if (!$("history").querySelector("[data-task]")) return listHistory();
  const { items } = await (await call("GET", `history?limit=${PAGE}`)).json();
  for (const task of items.reverse()) {
    const line = entry(task);
    const before = lineOf(task.task_id);
    const hasFocus = before?.contains(document.activeElement);
    if (before) before.replaceWith(line);
    else $("history").prepend(line);
    if (hasFocus) line.querySelector("button")?.focus({ preventScroll: true });
  }
}

const lineOf = (task) => $("history").querySelector(`[data-task="${CSS.escape(task)}"]`);

/** Takes a task that is no more out of the list. */
function delist(task) {
  lineOf(task)?.remove();
  if (!$("history").firstChild) $("history").append(element("li", "muted", "None yet."));
}

function entry(task) {
  const name = task.filename || "recording";
  const line = document.createElement("li");
  line.dataset.task = task.task_id;
  const isDone = task.status === "done";
  line.append(isDone ? button("", name, guarded(() => openTranscript(task.task_id, name))) : element("span", "", name));
  const facts = [new Date(task.created_at).toLocaleString()];
  if (!isDone) facts.push(task.error ? `${task.status}: ${task.error.message}` : task.status);
  if (task.duration !== null) facts.push(clock(task.duration));
  if (task.language) facts.push(task.language);
  if (task.speakers) facts.push(`${task.speakers} speaker${task.speakers === 1 ? "" : "s"}`);
  line.append(element("p", "muted", [...facts, ...task.tags].join(", ")));
  for (const { runs } of task.snippets ?? []) {
    const place = element("p", "", "");
    place.append(...runs.map(({ text, is_match }) => (is_match ? element("mark", "", text) : text)));
    line.append(place);
  }
  return line;
}

$("search").onsubmit = guarded(() => listHistory());
$("words").oninput = guarded(async () => { if (!$("words").value) await listHistory(); });
$("more").onclick = guarded(async () => {
  $("more").disabled = true; // a second click would bring the same page again
  try { $("history").append(...await fetchPage()); } finally { $("more").disabled = false; }
});
