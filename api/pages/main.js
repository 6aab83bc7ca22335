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
$("diarization").onchange = () => { $("speakers").disabled = !$("diarization").checked; };
$("key").onchange = guarded(async () => {
  sessionStorage.setItem("key", key());
  await greet();
});
$("key").value = sessionStorage.getItem("key") || "";
guarded(greet)();
