"""What servers answer: refusals of our own client, names of files, playlists of one entry and of many."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BlockedAddress, ExtractionError, InvalidUrl
from tasks.fetch import disposition, playlist
from tasks.stages.download import Download
from tests.unit.intake.outside import TONE, Canary, MediaServer, hits

Get = Callable[..., Download]


class _Choosy(BaseHTTPRequestHandler):
    """Answers the number in its path to everybody but a browser."""

    def do_GET(self) -> None:
        if "Mozilla" not in self.headers.get("User-Agent", ""):
            self.send_error(int(self.path.strip("/").split("/")[0]))
            return
        self.send_response(200)
        self.send_header("Content-Type", "audio/wav")
        self.send_header("Content-Length", str(len(TONE)))
        self.end_headers()
        self.wfile.write(TONE)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def choosy() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Choosy)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", [401, 403, 406])
def test_who_is_refused_asks_again_in_another_way(get: Get, choosy: str, status: int) -> None:
    """A server that lets in browsers only gives its recording to yt-dlp."""
    assert get(f"{choosy}/{status}/a.wav").bytes == len(TONE)


@pytest.mark.parametrize("status", [403, 404, 451])
def test_a_refusal_of_everybody_is_told(get: Get, media: MediaServer, status: int) -> None:
    """The first server's answer is in the error, whatever the other ways say; 404 and 451 are final."""
    with pytest.raises(ExtractionError, match=str(status)):
        get(f"{media.url}/status/{status}")
    with pytest.raises(ExtractionError, match=f"answered {status}"):
        get(f"{media.url}/status/{status}", extractors=())


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename=\"EURO rates.wav\"; filename*=UTF-8''%e2%82%ac%20rates.wav", "€ rates.wav"),
        ("attachment; filename*=UTF-8''%e2%82%ac.wav; filename=e.wav", "€.wav"),
        ("attachment; filename*=iso-8859-1'en'%A3%20rates.wav", "£ rates.wav"),
        ("attachment; FileName*=utf-8'de'%C3%BCbung.wav; filename=x", "übung.wav"),
        ("attachment; filename*=\"UTF-8''%C3%BC.wav\"", "ü.wav"),
        ("attachment; filename=plain.wav", "plain.wav"),
        (r'attachment; filename="a\"b.wav"', 'a"b.wav'),
        ('attachment; filename="=?UTF-8?B?w7xidW5nLndhdg==?="', "übung.wav"),
        ('attachment; filename*0="long-"; filename*1="name.wav"', "long-name.wav"),
        ("attachment; filename=\"x; filename*=UTF-8''evil.wav\"", "x; filename*=UTF-8''evil.wav"),
        # hostile or broken: without a path, or passed over
        ("attachment; filename=a.wav; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("attachment; filename=a.wav; filename*=UTF-8''%2e%2e", "a.wav"),
        ("attachment; filename=a.wav; filename*=UTF-8''C%3A%5Cx%5Cb.wav", "b.wav"),
        ("attachment; filename=a.wav; filename*=UTF-8''a%00%0d%0ab.wav", "ab.wav"),
        ("attachment; filename=a.wav; filename*=UTF-8''%E2%80%AEvaw.exe", "vaw.exe"),
        ("attachment; filename=a.wav; filename*=UTF-8''%ff%fe", "a.wav"),
        ("attachment; filename=a.wav; filename*=no-such''b.wav", "a.wav"),
        ("attachment; filename=a.wav; filename*=zlib''b.wav", "a.wav"),
        ('attachment; filename="=?utf-8?b?x?="', "=?utf-8?b?x?="),
        ("attachment; filename=a.wav; filename*=b.wav", "a.wav"),
        ("attachment; filename=a.wav; filename*=", "a.wav"),
        ("attachment; filename*=UTF-8''" + "a" * 9_000, None),
        ("attachment; filename=..", None),
        ("attachment", None),
        ("", None),
    ],
)
def test_names_of_files(header: str, name: str | None) -> None:
    """`filename*` goes before `filename`; what cannot be read is passed over; no path is left."""
    filename = disposition.filename(header)
    assert filename == name or (name is None and header.endswith("aaa") and set(filename or "a") == {"a"})


@given(st.text(max_size=200), st.sampled_from(("", "attachment; filename*=UTF-8''", "a; filename=", 'a; filename="')))
def test_no_name_hurts(text: str, start: str) -> None:
    """Whatever a server writes, a name has no path, no control characters and 255 characters at most."""
    name = disposition.filename(start + text)
    assert name is None or (len(name) <= 255 and "/" not in name and "\0" not in name and "\n" not in name)


LISTS = {
    "m3u": ("audio/x-mpegurl", "{one}\n"),
    "extended m3u": ("audio/x-mpegurl", "#EXTM3U\n#EXTINF:2,The call\n{one}\n"),
    "m3u as text": ("text/plain", "#EXTM3U\r\n{one}\r\n"),
    "pls": ("audio/x-scpls", "[playlist]\nNumberOfEntries=1\nFile1={one}\nTitle1=The call\n"),
    "pls as bytes": ("application/octet-stream", "[Playlist]\r\nfile1={one}\r\n"),
    "xspf": (
        "application/xspf+xml",
        '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><location>http://x/</location>'
        "<trackList><track><title>a</title><location>{one}</location></track></trackList></playlist>",
    ),
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("entry", ["/calls/monday.wav", "calls/monday.wav", "absolute"])
def test_a_playlist_of_one_entry_is_followed(get: Get, media: MediaServer, kind: str, entry: str) -> None:
    """Relative and absolute entries of every kind of playlist lead to the recording, which names the file."""
    content_type, text = LISTS[kind]
    one = f"{media.url}/calls/monday.wav" if entry == "absolute" else entry
    media.pages["/list"] = (content_type, text.format(one=one).encode())
    download = get(f"{media.url}/list")
    assert (download.bytes, download.filename) == (len(TONE), "monday.wav")


@pytest.mark.parametrize("name", ["/list.m3u", "/list.pls"])
def test_a_playlist_is_known_by_its_name(get: Get, media: MediaServer, name: str) -> None:
    """Without a type that says so, and without a first line, the ending does."""
    text = "File1=/calls/a.wav\n" if name.endswith("pls") else "/calls/a.wav\n"
    media.pages[name] = ("application/octet-stream", (("[playlist]\n" if name.endswith("pls") else "") + text).encode())
    assert get(media.url + name).bytes == len(TONE)


@pytest.mark.parametrize("count", [0, 2, 500])
@pytest.mark.parametrize("kind", LISTS)
def test_a_playlist_of_many_is_refused_with_their_number(get: Get, media: MediaServer, kind: str, count: int) -> None:
    """Nothing is fetched of it."""
    content_type, text = LISTS[kind]
    start, entry, end = "", text, ""
    if kind == "xspf":
        start, rest = text.split("<track>")
        entry, end = "<track>" + rest.split("</track>")[0] + "</track>", rest.split("</track>")[1]
    elif "pls" in kind:
        start, entry = "[playlist]\n", "File{n}={one}\n"
    elif kind == "m3u as text":
        start, entry = "#EXTM3U\n", "{one}\n"
    body = start + "".join(entry.format(one="/calls/many.wav", n=n) for n in range(count)) + end
    media.pages["/many.m3u" if kind == "m3u" else "/many"] = (content_type, body.encode())
    with pytest.raises(ExtractionError, match=f"playlist with {count} entries"):
        get(f"{media.url}/many.m3u" if kind == "m3u" else f"{media.url}/many")
    assert media.seen["/calls/many.wav"] == 0


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ("http://127.0.0.1:{port}/x", BlockedAddress),
        ("//127.0.0.1:{port}/x", BlockedAddress),
        ("http://127.1:{port}/x", InvalidUrl),
        ("http://[::1]:{port}/x", BlockedAddress),
        ("http://169.254.169.254/latest/meta-data/", BlockedAddress),
        ("file:///etc/passwd", InvalidUrl),
        ("s3://recordings/other.wav", InvalidUrl),
        ("concat:http://127.0.0.1:{port}/x", InvalidUrl),
        ("http://user@127.0.0.1:{port}/x", InvalidUrl),
        (r"\\server\share\a.wav", InvalidUrl),
    ],
)
def test_no_entry_leads_inside(get: Get, media: MediaServer, entry: str, kind: type[Exception]) -> None:
    """An entry is checked like any URL: inner addresses, files, buckets and odd spellings are refused."""
    canary = Canary()
    media.pages["/hostile.m3u"] = ("audio/x-mpegurl", f"#EXTM3U\n{entry.format(port=canary.port)}\n".encode())
    with pytest.raises(kind):
        get(f"{media.url}/hostile.m3u")
    assert hits(canary) == 0
    canary.close()


def test_playlists_in_a_circle_end(get: Get, media: MediaServer) -> None:
    """One that names itself is given up after a few times."""
    media.pages["/circle.m3u"] = ("audio/x-mpegurl", b"#EXTM3U\n/circle.m3u\n")
    with pytest.raises(ExtractionError, match="from one playlist to the next"):
        get(f"{media.url}/circle.m3u")
    assert media.seen["/circle.m3u"] < 6


def test_a_playlist_without_an_end_is_given_up(get: Get, media: MediaServer) -> None:
    """No more of it is read than a playlist may have."""
    media.pages["/endless.m3u"] = ("audio/x-mpegurl", b"#EXTM3U\n" + b"#\n" * playlist.MAX_CHARS)
    with pytest.raises(ExtractionError, match="too long"):
        get(f"{media.url}/endless.m3u")
