"""A network and a server that come and go, paths that a proxy takes away, and what the page costs."""

from __future__ import annotations

import re
from statistics import median

from playwright.sync_api import expect

from api.routes.page import ASSETS, VERSION
from tests.page.recordings import Recordings
from tests.page.screen import Screen
from tests.page.work import Work
from tests.service.gateway import Gateway

BUDGET_BYTES = 80_000
LANGUAGES = {f"languages/{code}.js" for code in ("en", "de", "es", "fr", "ar")}
"""Of which a browser fetches one."""

MOST_REQUESTS = 16
NEVER_IDLE = """(() => {
    const later = window.setTimeout;
    window.setTimeout = (work, ms, ...rest) => (ms === 2000 ? 0 : later(work, ms, ...rest));
})()"""
"""Never fetches the other screens, which the page does two seconds after its start: on a slow machine these two seconds
are over before the list is there."""

MOST_PAGES = 10
LOADS = 5
"""Of each page; the median counts, as a single one may be lucky."""

IMPORT = re.compile(rb"""(?:from|import)\s*["']\.\.?/([\w./-]+)["']""")


def needed(name: str) -> set[str]:
    """A script and those that it does not run without."""
    modules, waiting = set(), {name}
    while waiting:
        modules.add(one := waiting.pop())
        waiting |= {match.decode() for match in IMPORT.findall(ASSETS[one].content)} - modules
    return modules


def test_every_screen_is_small() -> None:
    """Script and style of each screen take less than 80 kB on the wire, whatever the language."""
    scripts = {name for name in ASSETS if name.endswith(".js")} - LANGUAGES
    assert scripts > {"page.js", "Recordings.js", "Send.js", "Transcript.js", "Admin.js"}
    words = max(len(ASSETS[name].packed) for name in LANGUAGES)
    for screen in scripts:
        names = {"page.css"} | needed("page.js") | needed(screen)
        assert words + sum(len(ASSETS[name].packed) for name in names) <= BUDGET_BYTES, screen


def test_files_are_fetched_once(gateway: Gateway) -> None:
    """A browser that has the page gets 304, and keeps its files as long as it likes: an update gives them other paths.
    Nothing else is there."""
    caller = gateway.caller()
    with caller.http as http:
        files = [f"/assets/{VERSION}/{name}" for name in ASSETS]
        assert f"./assets/{VERSION}/page.js" in http.get("/").text
        for path in ("/", "/icon.svg", *files):
            answer = http.get(path)
            assert answer.status_code == 200 and answer.headers["content-encoding"] == "gzip"
            assert ("immutable" in answer.headers["cache-control"]) == (path in files)
            assert http.get(path, headers={"Accept-Encoding": "identity"}).content == answer.content
            again = http.get(path, headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
        for name in ("nothing.js", "..%2findex.html", "%2e%2e/index.html"):
            assert http.get(f"/assets/{VERSION}/{name}").status_code == 404
        assert http.get("/assets/000000000000/page.js").status_code == 404


def test_a_lost_network_is_said(screen: Screen, recordings: Recordings) -> None:
    """In a line that goes when it is back, and the list is then as it should be (fault 15)."""
    recordings.finished("a.wav", "First of A.")
    screen.enter()
    expect(screen.row("a.wav")).to_be_visible()
    screen.page.context.set_offline(True)
    screen.page.get_by_role("link", name="Usage").click()
    expect(screen.page.get_by_text("No connection to the server.")).to_be_visible()
    recordings.finished("b.wav", "First of B.")
    screen.page.get_by_role("link", name="Recordings", exact=True).click()
    screen.page.context.set_offline(False)
    expect(screen.page.get_by_text("No connection to the server.")).to_be_hidden()
    expect(screen.row("b.wav")).to_contain_text("Done")
    expect(screen.row("a.wav")).to_be_visible()


def test_a_screen_that_cannot_be_had_says_that_the_network_is_lost(screen: Screen) -> None:
    """Nothing else may have noticed it yet."""
    for part in ("Usage.js", "health/live"):
        screen.page.route(f"**/{part}", lambda route: route.abort("connectionfailed"))
    screen.enter()
    screen.page.get_by_role("link", name="Usage").click()
    expect(screen.page.get_by_role("heading", name="This screen could not be loaded")).to_be_visible()
    expect(screen.page.get_by_text("No connection to the server.")).to_be_visible()


def test_a_gateway_that_is_stopped_and_started_is_found_again(
    screen: Screen, gateway: Gateway, recordings: Recordings
) -> None:
    """What ends then is told without a reload."""
    task = recordings.caller.http.post("/transcribe", files={"file": ("call.wav", b"x" * 99)}).json()["task_id"]
    screen.enter()
    expect(screen.row("call.wav")).to_be_visible()
    gateway.stack.stop_process("api")
    try:
        expect(screen.page.get_by_text("No connection to the server.")).to_be_visible()
    finally:
        gateway.stack.start_process("api")
    recordings.caller.http.post(f"/tasks/{task}/cancel").raise_for_status()
    expect(screen.row("call.wav")).to_contain_text("Cancelled")
    expect(screen.page.get_by_text("No connection to the server.")).to_be_hidden()


def test_an_answer_of_somebody_between_is_not_believed(screen: Screen, recordings: Recordings) -> None:
    """A portal's page in place of the server's answer is named, and nothing is lost."""
    recordings.finished("a.wav", "First of A.")
    screen.enter()
    screen.page.route("**/tasks/*", lambda route: route.fulfill(status=200, body="<html>Sign in to the hotel</html>"))
    screen.row("a.wav").get_by_role("button", name="Delete").click()
    screen.answer("Delete")
    screen.says("Something between you and the server answered in its place.")
    expect(screen.row("a.wav")).to_be_visible()


def test_the_page_is_there_at_once(screen: Screen, recordings: Recordings) -> None:
    """Few requests and little work stand before its largest part: compared with the same elements and style without any
    script, in the same tab, so that a busy machine changes nothing. The budget itself, a second on this machine's own
    network, is shown by `python -m scripts.page.budgets`."""
    page = screen.page
    recordings.finished("a.wav", "First of A.")
    screen.enter()
    expect(screen.row("a.wav")).to_be_visible()
    markup = page.evaluate("document.documentElement.outerHTML")
    plain = re.sub(r"<script\b.*?</script>", "", markup, flags=re.S)
    page.add_init_script(NEVER_IDLE)
    page.route("**/plain", lambda route: route.fulfill(body=plain, content_type="text/html; charset=utf-8"))
    work = Work(page)

    def loading() -> tuple[float, int]:
        """Seconds of the processor for a reload until the row is there and painted, and the requests before."""
        urls: list[str] = []
        page.on("request", lambda request: urls.append(request.url))
        page.reload()
        expect(screen.row("a.wav")).to_be_visible()
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        return work.so_far(), len(urls)  # the browser counts anew for each document

    with_scripts, requests = zip(*(loading() for _ in range(LOADS)), strict=True)
    page.goto(f"{screen.url}/plain")
    without, _ = zip(*(loading() for _ in range(LOADS)), strict=True)
    with_s, without_s = median(with_scripts), median(without)
    print(f"{requests} requests; {with_s * 1000:.0f} ms of the processor, without scripts {without_s * 1000:.0f} ms")
    assert max(requests) <= MOST_REQUESTS
    assert 0 < with_s < MOST_PAGES * without_s
