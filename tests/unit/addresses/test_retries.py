"""A server that is away or busy for a moment, or hangs up in mid-file: one attempt gets the recording all the same."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from scripts.local import tls
from shared.errors import BlockedAddress, ExtractionError, Interrupted, SourceUnavailable
from tasks.fetch import retries
from tasks.fetch.body import MAX_BREAKS
from tasks.stages.download import Download
from tests.unit.intake.outside import LOOPBACK, TONE, MediaServer

PAUSES_S = (0.05, 0.05, 0.05)

Get = Callable[..., Download]


@pytest.fixture
def get(get: Get) -> Get:
    """As the others', with short pauses."""
    return partial(get, pauses_s=PAUSES_S)


def is_tone(recording: Download) -> bool:
    return recording.sha256 == hashlib.sha256(TONE).hexdigest()


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(get: Get, media: MediaServer, status: int) -> None:
    """Whatever it answers meanwhile: the recording comes with the first attempt."""
    path = f"/busy/{status}/3/a.wav"
    assert is_tone(get(media.url + path))
    assert media.seen[path] == 4


def test_a_server_that_hangs_up_is_asked_again(get: Get, media: MediaServer) -> None:
    """As one does that is about to start again."""
    assert is_tone(get(f"{media.url}/resets/3/a.wav"))
    assert media.seen["/resets/3/a.wav"] == 4


def test_a_server_that_stays_busy_is_given_up(get: Get, media: MediaServer) -> None:
    """Once behind each pause, and then its answer is the error."""
    with pytest.raises(SourceUnavailable, match="503"):
        get(f"{media.url}/busy/503/99/a.wav")
    assert media.seen["/busy/503/99/a.wav"] == 4


@pytest.mark.parametrize("status", [400, 404, 410, 451])
def test_an_answer_that_stays_is_told_at_once(get: Get, media: MediaServer, status: int) -> None:
    """Nobody waits for a file that is not there."""
    with pytest.raises(ExtractionError, match=str(status)):
        get(f"{media.url}/busy/{status}/9/a.wav")
    assert media.seen[f"/busy/{status}/9/a.wav"] == 1


@pytest.mark.parametrize("as_date", [False, True])
def test_a_server_says_when_to_come_back(get: Get, media: MediaServer, as_date: bool) -> None:
    """Retry-After, in seconds or as a date, makes a pause longer."""
    until = time.time() + 2
    after = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True) if as_date else "2"
    assert is_tone(get(f"{media.url}/busy/429/1/{as_date}.wav?after={quote(after)}"))
    assert time.time() >= until


@pytest.mark.parametrize("after", ["3600", "Fri, 31 Dec 2100 00:00:00 GMT", "9" * 400])
def test_a_server_that_asks_for_an_hour_is_not_waited_for(get: Get, media: MediaServer, after: str) -> None:
    """Its answer is told at once: an io worker has other jobs."""
    with pytest.raises(SourceUnavailable, match="429"):
        get(f"{media.url}/busy/429/9/{len(after)}.wav?after={quote(after)}")
    assert media.seen[f"/busy/429/9/{len(after)}.wav"] == 1


@pytest.mark.parametrize(
    "after",
    [
        "-5",
        "soon",
        "nan",
        "Fri, 31 Dec 1999 00:00:00 GMT",
        "²",
        "31 Dec",
        "1 Dec 2026 00:00 +9999999999999999999",
    ],
)
def test_what_cannot_be_read_asks_for_nothing(get: Get, media: MediaServer, after: str) -> None:
    """The server's own pause is the least; a hostile one changes nothing."""
    assert is_tone(get(f"{media.url}/busy/503/1/{after.encode().hex()}.wav?after={quote(after)}"))


def test_a_server_that_starts_again_is_waited_for(get: Get) -> None:
    """Nobody listens at its port for a while."""
    with socket.create_server((LOOPBACK, 0)) as reservation:
        port = reservation.getsockname()[1]
    servers: list[MediaServer] = []
    timer = threading.Timer(1, lambda: servers.append(MediaServer(port)))
    timer.start()
    try:
        assert is_tone(get(f"http://{LOOPBACK}:{port}/a.wav", pauses_s=(0.1,) * 100))
    finally:
        timer.join()
        for server in servers:
            server.close()


@pytest.mark.parametrize("status", [429, 503])
def test_the_server_of_a_page_is_asked_again(get: Get, media: MediaServer, status: int) -> None:
    """yt-dlp is told that what the page leads to is busy."""
    media.pages["/talk"] = ("text/html", f"<html><audio src='/busy/{status}/3/b.wav'></audio></html>".encode())
    assert is_tone(get(f"{media.url}/talk"))


def test_the_server_of_a_page_that_stays_busy_is_given_up(get: Get, media: MediaServer) -> None:
    """With its answer as the error."""
    media.pages["/busy-talk"] = ("text/html", b"<html><audio src='/busy/503/99/c.wav'></audio></html>")
    with pytest.raises(SourceUnavailable, match="503"):
        get(f"{media.url}/busy-talk")


def test_a_page_that_leads_inside_is_asked_once(get: Get, media: MediaServer) -> None:
    """That an address is not allowed will not change."""
    media.pages["/inside"] = ("text/html", b"<html><audio src='https://10.0.0.1/a.wav'></audio></html>")
    with pytest.raises(BlockedAddress):
        get(f"{media.url}/inside")
    assert media.seen["/inside"] == 2  # by ourselves, to see that it is a page, and by yt-dlp


def test_all_pauses_have_an_end(get: Get, media: MediaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that asks for a second again and again is not waited for as often as it likes."""
    monkeypatch.setattr(retries, "PATIENCE_S", 1.5)
    with pytest.raises(SourceUnavailable, match="503"):
        get(f"{media.url}/busy/503/99/end.wav?after=1")
    assert media.seen["/busy/503/99/end.wav"] == 2


def test_a_cancel_is_heard_in_a_pause(get: Get, media: MediaServer) -> None:
    """What `progress` raises ends the wait."""
    looks: list[float] = []

    def stop(share: float) -> None:
        looks.append(share)
        if len(looks) == 2:
            raise Interrupted("cancelled")

    with pytest.raises(Interrupted):
        get(f"{media.url}/busy/503/9/cancel.wav", pauses_s=(60,), progress=stop)


def test_a_certificate_that_is_not_valid_is_told_at_once(get: Get, media: MediaServer, tmp_path: Path) -> None:
    """No wait makes it valid, and the caller is told what is wrong."""
    tls.make_pair(tmp_path / "certificate.pem", tmp_path / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with socket.create_server((LOOPBACK, 0)) as listener:
        connections = [0]

        def answer() -> None:
            while True:
                try:
                    line, _ = listener.accept()
                    connections[0] += 1
                    context.wrap_socket(line, server_side=True).close()
                except ssl.SSLError:  # the client hangs up
                    continue
                except OSError:  # closed
                    return

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(ExtractionError, match="certificate"):
            get(f"https://{LOOPBACK}:{listener.getsockname()[1]}/a.wav", pauses_s=(60,))
    assert connections == [1]


# ---- a connection that breaks

ONE, TWO = 'ETag:"one"', 'ETag:"two"'
DATE = "Last-Modified:Mon, 06 Jan 2020 10:00:00 GMT"


@pytest.mark.parametrize("name", [ONE, DATE])
@pytest.mark.parametrize("kind", ["breaks", "parts"])
def test_a_file_that_breaks_off_is_continued(get: Get, media: MediaServer, kind: str, name: str) -> None:
    """Behind each break, and each part where the server gives no more at once, only the rest is asked for, and every
    byte is there once."""
    path = f"/{kind}/10000/{len(name)}.wav"
    assert is_tone(get(f"{media.url}{path}?as={quote(name)}"))
    assert media.seen[path] == -(-len(TONE) // 10_000)


def test_the_first_url_is_asked_for_the_rest(get: Get, media: MediaServer) -> None:
    """Where a redirect leads may hold for minutes only, so it is followed anew."""
    leads_to = quote(f"/breaks/10000/r.wav?as={quote(ONE)}")
    assert is_tone(get(f"{media.url}/to/0?url={leads_to}"))
    assert media.seen["/to/0"] == media.seen["/breaks/10000/r.wav"] == -(-len(TONE) // 10_000)


@pytest.mark.parametrize(
    "name",
    [
        "X-Name:one",
        'ETag:W/"one"',
        f"{DATE}&as={quote('ETag:W/1')}",
        'ETag:"\u00fc"',
        "Last-Modified:Sun, 31 Dec 2100 00:00:00 GMT",
        "Last-Modified:yesterday",
        "Last-Modified:Mon, 06 Jan 2020 10:00:00 GMT \u00e9",
    ],
)
def test_a_file_without_a_name_is_not_continued(get: Get, media: MediaServer, name: str) -> None:
    """It may be another one by then: the attempt fails instead."""
    path = f"/breaks/10000/{name.encode().hex()}.wav"
    with pytest.raises(SourceUnavailable, match="failed"):
        get(f"{media.url}{path}?as={quote(name, safe='&=%')}")
    assert media.seen[path] == 1


@pytest.mark.parametrize(
    "then",
    [
        TWO,
        "Content-Encoding:gzip",
        f"Content-Range:bytes 0-{len(TONE) - 1}/{len(TONE)}",
        "Content-Range:bytes 10000-20000/20001",
        "Content-Range:bytes 10000-20000/*",
        f"Content-Range:bytes {'9' * 3000}-1/2",
    ],
)
def test_the_rest_of_another_file_is_not_taken(get: Get, media: MediaServer, then: str) -> None:
    """Whatever the server makes of If-Range: bytes of two files are not mixed up."""
    path = f"/breaks/10000/{hashlib.sha256(then.encode()).hexdigest()}.wav"
    with pytest.raises(SourceUnavailable, match="does not give the rest"):
        get(f"{media.url}{path}?as={quote(ONE)}&then={quote(then)}")
    assert media.seen[path] == 2


def test_a_file_that_was_replaced_is_not_taken(get: Get, media: MediaServer) -> None:
    """The server has another file by then and sends all of it."""
    with pytest.raises(SourceUnavailable, match="does not give the rest"):
        get(f"{media.url}/swaps/10000/a.wav?as={quote(ONE)}&then={quote(TWO)}")


def test_a_server_that_always_hangs_up_is_given_up(get: Get, media: MediaServer) -> None:
    """It is asked for the rest a few times, not for ever."""
    with pytest.raises(SourceUnavailable, match="failed"):
        get(f"{media.url}/breaks/100/a.wav?as={quote(ONE)}", pauses_s=(0.01,))
    assert media.seen["/breaks/100/a.wav"] == MAX_BREAKS + 1


def test_a_redirect_without_an_end_is_followed(get: Get, media: MediaServer) -> None:
    """Its body is not read."""
    assert is_tone(get(f"{media.url}/flood?url=/a.wav"))
