/** The tasks of this key, newest first, and those in which words were said. */

const PAGE = 10;
let cursor = null;
let choose = () => {};

/** Lists from the newest on. `onChoose(id, name)` hears which finished task is wanted. */
async function listHistory(onChoose = choose) {
  choose = onChoose;
  cursor = null;
  if (!key()) return;
  const page = await fetchPage();
  $("history").replaceChildren(...page);
  if (!page.length) $("history").append(element("li", "muted", $("words").value ? "Nobody said that." : "None yet."));
  $("archive").hidden = false;
}

async function fetchPage() {
  const query = new URLSearchParams({ limit: PAGE });
  if ($("words").value.trim()) query.set("q", $("words").value.trim());
  if (cursor) query.set("cursor", cursor);
  const { items, next_cursor } = await (await call("GET", `history?${query}`)).json();
  cursor = next_cursor;
  $("more").hidden = !cursor;
  return items.map(entry);
}

function entry(task) {
  const name = task.filename || "recording";
  const line = document.createElement("li");
  const isDone = task.status === "done";
  line.append(isDone ? button("", name, guarded(() => choose(task.task_id, name))) : element("span", "", name));
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
$("more").onclick = guarded(async () => $("history").append(...await fetchPage()));
