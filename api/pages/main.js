/** What the page does first, and the form's fields. */

/** What this server offers, and what it has done for this key, once the key is known. */
async function greet() {
  if (!key()) return;
  const { languages } = await (await call("GET", "languages")).json();
  const { models } = await (await call("GET", "models")).json();
  languages.sort((a, b) => a.name.localeCompare(b.name));
  $("language").replaceChildren($("language")[0], ...languages.map(({ code, name }) => new Option(name, code)));
  $("model").replaceChildren($("model")[0], ...models.map(({ id }) => new Option(id, id)));
  say("");
  await listHistory();
}

$("file").onchange = () => { if ($("file").files.length) $("url").value = ""; };
$("url").oninput = () => { if ($("url").value) $("file").value = ""; };
/** A file that is dropped beside its field goes into it; else the browser would leave the page for it. */
for (const name of ["dragover", "drop"]) {
  window.addEventListener(name, (event) => {
    if (event.target === $("file") || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    if (name === "dragover") return;
    if (event.dataTransfer.files.length !== 1) return say("One recording at a time, please.", true);
    $("file").files = event.dataTransfer.files;
    $("file").onchange();
    say(`${quoted($("file").files[0].name)} is ready to be sent.`);
  });
}
$("diarization").onchange = () => { $("speakers").disabled = !$("diarization").checked; };
$("key").onchange = guarded(async () => {
  sessionStorage.setItem("key", key());
  await greet();
});
$("key").value = sessionStorage.getItem("key") || "";
guarded(greet)();
