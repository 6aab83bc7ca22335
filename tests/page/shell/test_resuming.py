"""Uploads that are interrupted: by the person, a reload, the network, or the gateway's death."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Route, expect

from tests.page.recordings import Recordings
from tests.page.screen import Screen
from tests.service.gateway import Gateway, eventually

PART_BYTES = 8 * 1024**2
PARTS = 3

ALONE = """navigator.locks.query().then(
    ({ held }) => held.filter(({ name }) => name.startsWith("parley.tab.")).length === 1
)"""
"""Whether one tab of the browser is left: a closed one lets its name go a little later."""

MANY_BYTES = os.urandom(1024)


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A file of three parts, which nobody sent before."""
    path = tmp_path / "long.wav"
    path.write_bytes(os.urandom(1024) * (PART_BYTES // 1024) * (PARTS - 1) + os.urandom(1_000_000))
    return path


def listeners(port: int) -> set[int]:
    """Processes that listen at this port."""
    connections = (one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN)
    return {one.pid for one in connections if one.laddr and one.laddr.port == port and one.pid}


class Parts:
    """Parts on their way: their numbers as they come by, and a gate that they wait before."""

    def __init__(self, screen: Screen) -> None:
        self.numbers: list[int] = []
        self.is_open = True
        self.held: list[Route] = []
        screen.page.route(re.compile(r"/uploads/[^/]+/parts/\d+$"), self._pass)

    def _pass(self, route: Route) -> None:
        self.numbers.append(int(route.request.url.rsplit("/", 1)[1]))
        if self.is_open or self.numbers[-1] == 1:
            route.continue_()
        else:
            self.held.append(route)


def begin(screen: Screen, long: Path) -> Parts:
    """Send it, up to its second part."""
    parts = Parts(screen)
    parts.is_open = False
    screen.enter("#/send")
    screen.choose(long)
    screen.button("Add to queue").click()
    expect(screen.page.get_by_text("Sending 1 recording")).to_be_visible()
    screen.eventually(lambda: 2 in parts.numbers, "the second part is sent")
    return parts


def send(screen: Screen, path: Path) -> None:
    """Send a recording to its end."""
    screen.go("#/send")
    screen.choose(path)
    screen.page.get_by_role("button", name="Add ").click()
    expect(screen.row(path.name)).to_be_visible()


def test_an_upload_can_be_paused(screen: Screen, recordings: Recordings, long: Path) -> None:
    """Nothing is sent meanwhile, and what had arrived is not sent again."""
    parts = begin(screen, long)
    screen.button("Pause long.wav").click()
    expect(screen.page.get_by_role("listitem").filter(has_text="long.wav")).to_contain_text("Paused")
    parts.is_open = True
    parts.numbers.clear()
    other = long.with_name("other.wav")
    other.write_bytes(MANY_BYTES)
    send(screen, other)  # what is not paused is sent to its end meanwhile
    assert parts.numbers == [1]
    parts.numbers.clear()
    screen.page.get_by_role("listitem").filter(has_text="long.wav").get_by_role("button", name="Resume").click()
    expect(screen.row("long.wav")).to_be_visible()
    assert parts.numbers in ([2, 3], [3])  # the first tab may just have sent its second part


def test_an_upload_goes_on_after_a_reload(screen: Screen, recordings: Recordings, long: Path) -> None:
    """By itself and from where it stood; before, the browser asks (faults 7 and 12)."""
    parts = begin(screen, long)
    assert screen.is_asked_when_left()
    parts.is_open = True
    parts.numbers.clear()
    screen.page.reload()
    expect(screen.row("long.wav")).to_be_visible()
    assert parts.numbers in ([2, 3], [3])  # the first tab may just have sent its second part
    assert recordings.caller.http.get("/history").json()["items"][0]["filename"] == "long.wav"
    expect(screen.page.get_by_text("Sending 1 recording")).to_be_hidden()
    assert not screen.is_asked_when_left()


def test_an_upload_survives_the_death_of_the_gateway(
    screen: Screen, gateway: Gateway, recordings: Recordings, long: Path
) -> None:
    """kill -9 in the middle of a part: the page says that it waits, and goes on when the gateway is back."""
    parts = begin(screen, long)
    for pid in listeners(int(gateway.url.rsplit(":", 1)[1])):
        os.kill(pid, signal.SIGKILL)
    parts.is_open = True
    for route in parts.held:
        route.continue_()
    expect(screen.row("long.wav")).to_be_visible()  # the stack starts a dead gateway again
    assert parts.numbers[:2] == [1, 2] and parts.numbers.count(1) == 1
    [item] = recordings.caller.http.get("/history").json()["items"]
    assert item["filename"] == "long.wav"


def test_an_upload_is_stopped_after_a_question(screen: Screen, recordings: Recordings, long: Path) -> None:
    """What the server had of it is taken back."""
    parts = begin(screen, long)
    screen.button("Remove long.wav").click()
    screen.answer("Remove", says="Stop sending “long.wav”?")
    expect(screen.page.get_by_text("Sending 1 recording")).to_be_hidden()
    for route in parts.held:
        route.abort()
    eventually(lambda: recordings.caller.http.get("/uploads").json()["items"] == [], "no upload is left")


def test_a_file_that_is_not_at_hand_any_more_is_asked_for(screen: Screen, recordings: Recordings, long: Path) -> None:
    """Of a browser that could not keep it; dropping or choosing it again goes on from where it stood."""
    screen.page.add_init_script(
        "const put = IDBObjectStore.prototype.put;"
        "IDBObjectStore.prototype.put = function (value, ...key) {"
        "  if (value instanceof Blob) throw new DOMException('no room', 'DataCloneError');"
        "  return put.call(this, value, ...key);"
        "};"
    )
    parts = begin(screen, long)
    parts.is_open = True
    parts.numbers.clear()
    screen.page.reload()
    row = screen.page.get_by_role("listitem").filter(has_text="long.wav")
    expect(row).to_contain_text("Needs its file again")
    other = long.with_name("other.wav")
    other.write_bytes(MANY_BYTES)
    row.get_by_label("Choose the file again").set_input_files(other)
    expect(row.get_by_role("alert")).to_contain_text("This is another file")
    row.get_by_label("Choose the file again").set_input_files(long)
    expect(screen.row("long.wav")).to_be_visible()
    assert parts.numbers in ([2, 3], [3])  # the first tab may just have sent its second part


def test_a_second_tab_sends_nothing_twice(screen: Screen, recordings: Recordings, long: Path) -> None:
    """It leaves the uploads of the first alone while that is open, and takes them over when it was closed."""
    begin(screen, long)
    second = Screen(screen.page.context.new_page(), screen.url, recordings)
    parts = Parts(second)
    second.go("")
    other = long.with_name("other.wav")
    other.write_bytes(MANY_BYTES)
    send(second, other)  # the second tab sends its own to the end
    assert parts.numbers == [1]
    parts.numbers.clear()
    screen.page.close(run_before_unload=False)
    second.until(ALONE)
    second.page.reload()
    expect(second.row("long.wav")).to_be_visible()
    assert parts.numbers in ([2, 3], [3])  # the first tab may just have sent its second part


def test_what_was_not_sent_does_not_stay_when_somebody_signs_out(
    screen: Screen, recordings: Recordings, long: Path
) -> None:
    """After a question; the next person finds nothing of it."""
    begin(screen, long)
    screen.open_settings()
    screen.button("Sign out").click()
    screen.answer("Sign out", says="Sign out without sending 1 recording?")
    expect(screen.page.get_by_label("API key")).to_be_visible()
    screen.sign_in(recordings.caller.key)
    expect(screen.page.get_by_text("No recordings yet")).to_be_visible()
    expect(screen.page.get_by_text("Sending 1 recording")).to_be_hidden()
    assert recordings.caller.http.get("/uploads").json()["items"] == []


def test_signing_out_in_one_tab_cleans_the_others(screen: Screen, recordings: Recordings, long: Path) -> None:
    """It asks for what they have not sent; then they ask for a key too, and nothing of it is left in the browser."""
    begin(screen, long)
    second = Screen(screen.page.context.new_page(), screen.url, recordings)
    second.go("")
    second.open_settings()
    second.button("Sign out").click()
    second.answer("Sign out", says="Sign out without sending 1 recording?")
    expect(second.page.get_by_label("API key")).to_be_visible()
    expect(screen.page.get_by_label("API key")).to_be_visible()
    counts = second.page.evaluate(
        """() => new Promise((resolve) => {
            indexedDB.open("parley.uploads").onsuccess = ({ target: { result: database } }) => {
                const tables = database.transaction(["entries", "files"]);
                const counts = ["entries", "files"].map((name) => tables.objectStore(name).count());
                tables.oncomplete = () => resolve(counts.map(({ result }) => result));
            };
        })"""
    )
    assert counts == [0, 0]
    assert recordings.caller.http.get("/uploads").json()["items"] == []
