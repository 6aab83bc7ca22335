"""Fetching a recording by URL: media files, pages and playlists from a real server on loopback, and its bad manners."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from shared.egress.policy import Guard
from shared.errors import ExtractionError, FileTooLarge, Interrupted, MediaTooLong, NoAudio, SourceUnavailable
from tasks.fetch import direct, page
from tasks.fetch.page import PageOptions
from tasks.sandbox.egress_proxy import EgressProxy
from tasks.sandbox.extractor.reasons import clean
from tasks.sandbox.lockdown import landlock_abi
from tasks.stages.download import Download, FetchLimits, download
from tests.unit.intake.outside import TONE, Canary, MediaServer, hits

ROOT = Path(__file__).resolve().parents[3]
LIMITS = FetchLimits(max_bytes=1_000_000, max_duration_s=60, timeout_s=120, idle_timeout_s=30, retry_pauses_s=())
HLS = "application/vnd.apple.mpegurl"

Get = Callable[..., Download]


@pytest.fixture(scope="module")
def media() -> Iterator[MediaServer]:
    server = MediaServer()
    yield server
    server.close()


@pytest.fixture
def get(media: MediaServer, tmp_path: Path) -> Get:
    """Download a path of the media server; `extractors` are those that yt-dlp may use."""
    guard = Guard(allow_hosts=frozenset({media.host}))

    def fetch(
        path: str,
        limits: FetchLimits = LIMITS,
        progress: Callable[[float], None] = lambda _: None,
        extractors: tuple[str, ...] = ("generic", "html5"),
        cookies: Path | None = None,
    ) -> Download:
        ways = partial(direct.fetch, guard), partial(page.fetch, guard, PageOptions(extractors, cookies))
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        return download(media.url + path, folder, ways, limits, progress)

    return fetch


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ---- media files


@pytest.mark.parametrize("path", ["/calls/monday.wav", "/chunked/monday.wav", "/gzip/monday.wav"])
def test_a_media_file_arrives_whole(get: Get, path: str) -> None:
    """With a length, without one, or compressed: the bytes, their hash, and the name from the URL."""
    shares: list[float] = []
    download = get(path, progress=shares.append)
    assert (download.bytes, download.sha256, download.filename) == (len(TONE), sha256(TONE), "monday.wav")
    assert download.path.read_bytes() == TONE
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1


def test_redirects_are_followed(get: Get, media: MediaServer) -> None:
    """Five of them, the last with a relative address; the name is that of the last."""
    assert get("/to/4?url=/calls/tuesday.wav").filename == "tuesday.wav"
    with pytest.raises(ExtractionError, match="in circles"):
        get("/circle")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="call 7.wav"', "call 7.wav"),
        ("attachment; filename*=UTF-8''%C3%BCbung.wav", "übung.wav"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("attachment", "x.wav"),
    ],
)
def test_the_server_may_name_the_file(get: Get, header: str, name: str) -> None:
    """Content-Disposition wins over the URL, without any path in it."""
    assert get(f"/named/x.wav?as={quote(header)}").filename == name


@pytest.mark.parametrize("path", ["/large/a.wav", "/endless/a.wav", "/bomb/a.wav"])
def test_too_many_bytes_end_the_download(get: Get, path: str, tmp_path: Path) -> None:
    """Announced, counted, or unpacked: the limit holds, and the disk never holds more than that."""
    with pytest.raises(FileTooLarge):
        get(path)
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) <= LIMITS.max_bytes


@pytest.mark.parametrize(
    ("path", "kind", "says"),
    [
        ("/status/404", ExtractionError, "404"),
        ("/status/403", ExtractionError, "403"),
        ("/status/429", SourceUnavailable, "429"),
        ("/status/503", SourceUnavailable, "503"),
        ("/short/a.wav", SourceUnavailable, "failed"),
        ("/silent/a.wav", SourceUnavailable, "in time"),
    ],
)
def test_what_the_server_did_is_told(get: Get, path: str, kind: type[Exception], says: str) -> None:
    """An answer that will not change ends the job; one that may is worth another attempt."""
    limits = replace(LIMITS, idle_timeout_s=0.5) if path.startswith("/silent") else LIMITS
    with pytest.raises(kind, match=says):
        get(path, limits=limits)


def test_a_server_that_drips_is_given_up(get: Get) -> None:
    """The whole download has a limit of time, however alive the server seems."""
    with pytest.raises(SourceUnavailable, match="took longer"):
        get("/drip/a.wav", limits=replace(LIMITS, timeout_s=0.5))


def test_an_empty_file_is_no_recording(get: Get, media: MediaServer) -> None:
    """Nothing is not passed on to the decoder."""
    media.pages["/empty.wav"] = ("audio/wav", b"")
    with pytest.raises(NoAudio):
        get("/empty.wav")


def test_a_cancel_is_heard_while_bytes_arrive(get: Get) -> None:
    """What `progress` raises ends the download."""

    def stop(_: float) -> None:
        raise Interrupted("cancelled")

    with pytest.raises(Interrupted):
        get("/endless/a.wav", progress=stop)


# ---- pages and playlists, by yt-dlp


def html(body: str) -> tuple[str, bytes]:
    return "text/html", f"<html><head><title>The talk</title></head><body>{body}</body></html>".encode()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/audio", '<audio src="/calls/a.wav"></audio>'),
        ("/video", '<video><source src="/calls/a.wav" type="video/mp4"></video>'),
        ("/meta", '<meta property="og:video" content="/calls/a.wav">'),
    ],
)
def test_a_page_with_a_player_gives_its_recording(get: Get, media: MediaServer, path: str, body: str) -> None:
    """yt-dlp's generic extractor finds it, through the proxy; the page's title names it."""
    media.pages[path] = html(body)
    download = get(path)
    assert (download.sha256, (download.filename or "")[:8]) == (sha256(TONE), "The talk")


def test_a_stream_in_pieces_is_put_together(get: Get, media: MediaServer) -> None:
    """An HLS playlist is fetched by yt-dlp's own downloader, without FFmpeg."""
    pieces = "".join(f"#EXTINF:1,\n/piece/{number}.ts\n" for number in range(3))
    media.pages["/list.m3u8"] = (HLS, f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{pieces}#EXT-X-ENDLIST\n".encode())
    for number in range(3):
        media.pages[f"/piece/{number}.ts"] = ("video/mp2t", bytes([number]) * 1000)
    assert get("/list.m3u8").sha256 == sha256(b"".join(bytes([number]) * 1000 for number in range(3)))


def test_a_stream_may_not_grow_beyond_the_limit(get: Get, media: MediaServer, tmp_path: Path) -> None:
    """Pieces announce no total; they are counted while they arrive."""
    pieces = "#EXTINF:1,\n/big.ts\n" * 40
    media.pages["/big.m3u8"] = (HLS, f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{pieces}#EXT-X-ENDLIST\n".encode())
    media.pages["/big.ts"] = ("video/mp2t", bytes(100_000))
    with pytest.raises(FileTooLarge):
        get("/big.m3u8")
    assert media.seen["/big.ts"] < 40


def test_a_missing_piece_is_not_passed_over(get: Get, media: MediaServer) -> None:
    """Half a recording is no recording."""
    media.pages["/torn.m3u8"] = (
        HLS,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/calls/a.wav\n#EXTINF:1,\n/gone.ts\n#EXT-X-ENDLIST\n",
    )
    with pytest.raises(ExtractionError, match="404"):
        get("/torn.m3u8")


def test_reasons_are_one_clear_line(get: Get, media: MediaServer) -> None:
    """No recording, several of them, a site that is not offered: each is said as such."""
    media.pages["/nothing"] = html("<p>Nothing here.</p>")
    media.pages["/two"] = html('<audio src="/calls/1.wav"></audio><audio src="/calls/2.wav"></audio>')
    for path, says in (("/nothing", "no recording on this page"), ("/two", "a list")):
        with pytest.raises(ExtractionError, match=says) as reason:
            get(path)
        assert "\n" not in reason.value.message
    with pytest.raises(ExtractionError, match="not one of the sites"):
        get("/nothing", extractors=("youtube",))
    with pytest.raises(ExtractionError, match="not pages"):
        get("/nothing", extractors=())


def test_a_page_that_names_its_length_is_refused_before_it_is_fetched(get: Get, media: MediaServer) -> None:
    """A playlist of ten hours is media_too_long without a single piece."""
    pieces = "#EXTINF:3600,\n/hour.ts\n" * 10
    media.pages["/long.m3u8"] = (HLS, f"#EXTM3U\n#EXT-X-TARGETDURATION:3600\n{pieces}#EXT-X-ENDLIST\n".encode())
    with pytest.raises(MediaTooLong):
        get("/long.m3u8")
    assert media.seen["/hour.ts"] == 0


def test_cookies_go_only_where_they_belong(
    get: Get, media: MediaServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The operator's cookie file is read, and not written to."""
    cookies = tmp_path_factory.mktemp("cookies") / "cookies.txt"
    content = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tsecret\n"
    cookies.write_text(content)
    media.pages["/members"] = html('<audio src="/calls/a.wav"></audio>')
    assert get("/members", cookies=cookies).bytes == len(TONE)
    assert cookies.read_text() == content


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "\x1b[0;31mERROR:\x1b[0m [youtube] abc: Private video. Sign in if you've been granted access to it. "
            "Use --cookies-from-browser or --cookies for the authentication. See  https://github.com/yt-dlp/wiki",
            "Private video. Sign in if you've been granted access to it",
        ),
        ("ERROR: [TikTok] 7: Your IP address is blocked from accessing this post", None),
        (
            "[x] 1: failed at /srv/parley/.venv/lib/yt_dlp/a.py; please report this issue on  https://x",
            "failed at (path)",
        ),
    ],
)
def test_yt_dlps_words_lose_what_is_not_for_callers(message: str, expected: str | None) -> None:
    """No colours, no advice about its options, no local paths."""
    assert clean(message) == (expected or "Your IP address is blocked from accessing this post")


# ---- the child's confinement

CONFINED = """
    import ctypes, os, socket, subprocess, sys
    from pathlib import Path
    sys.path.append({root!r})
    from tasks.sandbox.extractor.confinement import confine
    libc = ctypes.CDLL(None, use_errno=True)
    confine(Path.cwd(), [Path(sys.prefix), Path(sys.base_prefix)], ("127.0.0.1", {proxy}))

    def attempt(name, act):
        try:
            act()
        except OSError as error:
            print(name, "refused")
        else:
            print(name, "done")

    def natively(port):
        # past Python and its audit hook
        client = socket.socket()
        address = b"\\x02\\x00" + port.to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
        if libc.connect(client.fileno(), address, 16) != 0:
            raise OSError(ctypes.get_errno(), "connect")

    attempt("proxy", lambda: socket.create_connection(("127.0.0.1", {proxy}), 5))
    attempt("canary", lambda: socket.create_connection(("127.0.0.1", {canary}), 5))
    attempt("native", lambda: natively({canary}))
    attempt("dns", lambda: socket.getaddrinfo("localhost", 80))
    attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", {canary})))
    attempt("listen", lambda: socket.create_server(("127.0.0.1", 0)))
    attempt("program", lambda: subprocess.run(["true"]))
    attempt("fork", os.fork)
    attempt("read", lambda: open("/etc/passwd").read())
    attempt("parent", lambda: open(f"/proc/{{os.getppid()}}/environ").read())
    attempt("write", lambda: open("/tmp/elsewhere", "w"))
    attempt("own", lambda: Path("mine").write_text("x"))
"""


def test_the_child_reaches_the_proxy_and_its_folder_and_nothing_else(tmp_path: Path) -> None:
    """Neither Python nor native code connects past the proxy, reads secrets, writes elsewhere or starts programs."""
    canary = Canary()
    with EgressProxy(Guard(), idle_timeout_s=60) as proxy:
        program = textwrap.dedent(CONFINED).format(root=str(ROOT), proxy=proxy.address[1], canary=canary.port)
        ran = subprocess.run(
            [sys.executable, "-I", "-c", program], cwd=tmp_path, env={}, capture_output=True, text=True, timeout=300
        )
    outcomes = dict(line.split() for line in ran.stdout.splitlines())
    assert ran.returncode == 0, ran.stderr
    # an old kernel leaves it to the audit hook alone, which native code and plain files do not pass
    beyond_audit = {"native"} if landlock_abi() < 4 else set()
    beyond_audit |= {"read", "parent", "write"} if landlock_abi() < 1 else set()
    assert {name for name, outcome in outcomes.items() if outcome == "done"} == {"proxy", "own"} | beyond_audit
    assert len(outcomes) == 12
    assert hits(canary) == len(beyond_audit & {"native"})
    canary.close()


def test_the_child_dies_with_its_download(get: Get, media: MediaServer) -> None:
    """A download that is stopped leaves no process and no connection behind."""
    media.pages["/waits"] = html('<audio src="/drip/a.wav"></audio>')
    began = time.monotonic()

    def stop_later(_: float) -> None:
        if media.seen["/drip/a.wav"]:
            raise Interrupted("cancelled")

    with pytest.raises(Interrupted):
        get("/waits", progress=stop_later)
    assert time.monotonic() - began < LIMITS.timeout_s
    assert not [thread for thread in threading.enumerate() if thread.name == "egress" and thread.is_alive()]
