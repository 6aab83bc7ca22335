"""Live streams by URL: a part is recorded if the caller says how long, else they are refused at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.errors import BlockedAddress, ExtractionError, Interrupted, LiveStream, SourceUnavailable
from tasks.fetch import hls
from tasks.fetch.live import Bound
from tasks.stages.convert import ConvertLimits, convert
from tasks.stages.download import Download
from tests.unit.addresses.radio import Radio, Shoutcast
from tests.unit.intake.media import dominant_frequency, read_wav
from tests.unit.intake.outside import TONE, Canary, MediaServer, hits

Get = Callable[..., Download]


@pytest.fixture(scope="module")
def radio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radio]:
    station = Radio.on_air(tmp_path_factory.mktemp("radio"))
    yield station
    station.close()


def sound_of(download: Download, folder: Path) -> tuple[float, float]:
    """Seconds and pitch of what was recorded, through the real decoder."""
    limits = ConvertLimits(max_duration_s=3600, timeout_s=60, memory_bytes=300 * 1024**2)
    conversion = convert(download.path, folder / "out.wav", limits, lambda _: None)
    return conversion.duration, dominant_frequency(read_wav(folder / "out.wav"))


@pytest.mark.parametrize("path", ["/icecast", "/live.m3u8", "/master.m3u8"])
def test_a_live_stream_is_refused_at_once_without_a_bound(get: Get, radio: Radio, path: str) -> None:
    """The error has its own code, names the option, and comes before the stream was listened to."""
    radio.seen.clear()
    with pytest.raises(LiveStream, match="max_duration") as refusal:  # later, too much would have come
        get(radio.url + path)
    assert (refusal.value.code, refusal.value.retryable) == ("live_stream", False)
    assert not [name for name in radio.seen if name.startswith("/piece/")]


@pytest.mark.parametrize("path", ["/icecast", "/unlabelled"])
def test_radio_is_recorded_up_to_its_bound(get: Get, radio: Radio, tmp_path: Path, path: str) -> None:
    """So many seconds are listened to, what came is sound, and a warning says that there was more."""
    began, shares = time.monotonic(), list[float]()
    download = get(radio.url + path, 1.5, progress=shares.append)
    assert 1.4 < time.monotonic() - began < 30
    assert [warning.code for warning in download.warnings] == ["live_stream_cut"]
    assert "1.5 s" in download.warnings[0].message
    assert sound_of(download, tmp_path)[1] == pytest.approx(700, abs=3)
    assert shares == sorted(shares)
    assert shares[-1] > 0.8


def test_a_burst_of_a_known_rate_counts_as_the_seconds_that_it_lasts(get: Get, radio: Radio) -> None:
    """A server that sends hours at once, and tells its rate, ends the recording by bytes."""
    began = time.monotonic()
    download = get(f"{radio.url}/icecast-rated", 30)
    assert 30 * 16_000 <= download.bytes < 30 * 16_000 + 100_000
    assert time.monotonic() - began < 30


def test_seconds_are_counted_from_the_first_byte() -> None:
    """Of a stream that tells no rate, however much comes."""
    now = 5.0
    bound = Bound({"content-type": "audio/mpeg", "icy-name": "Parley FM"}, 1.5, lambda: now)
    now = 6.4
    assert not bound.is_reached(1_000_000)
    now = 6.5
    assert bound.is_reached(1)


def test_radio_that_stops_is_whole(get: Get, radio: Radio) -> None:
    """A stream that ends before its bound needs no warning."""
    assert get(f"{radio.url}/icecast-stops", 20).warnings == ()


def test_shoutcast_of_the_first_version(get: Get, radio: Radio, tmp_path: Path) -> None:
    """A server that does not speak HTTP is recorded or refused just the same."""
    server = Shoutcast(radio.song)
    with pytest.raises(LiveStream, match="max_duration"):
        get(f"http://{server.host}/")
    download = get(f"http://{server.host}/", 1)
    assert [warning.code for warning in download.warnings] == ["live_stream_cut"]
    assert sound_of(download, tmp_path)[1] == pytest.approx(700, abs=3)
    server.close()


def test_sound_without_a_length_or_an_end_is_found_out() -> None:
    """A stream that nothing labels is refused once it has come as slowly as sound is heard; a fast file is not."""
    now = 0.0
    slow = Bound({"content-type": "audio/mpeg"}, None, lambda: now)
    fast = Bound({"content-type": "audio/mpeg"}, None, lambda: now)
    film = Bound({"content-type": "video/mp4"}, None, lambda: now)
    for second in range(20):
        now = float(second)
        assert [bound.is_reached(16_000) for bound in (slow, film)] == [False, False]
        assert not fast.is_reached(100_000)
    now = 21.0
    with pytest.raises(LiveStream):
        slow.is_reached(16_000)
    assert [fast.is_reached(100_000), film.is_reached(16_000)] == [False, False]


@pytest.mark.parametrize("path", ["/live.m3u8", "/master.m3u8", "/moved/master.m3u8"])
def test_hls_is_recorded_up_to_its_bound(get: Get, radio: Radio, tmp_path: Path, path: str) -> None:
    """Pieces are fetched as they appear, each once and in order, until they last as long as was asked for."""
    radio.seen.clear()
    download = get(radio.url + path, 8)
    seconds, pitch = sound_of(download, tmp_path)
    assert seconds == pytest.approx(8, abs=0.6)
    assert pitch == pytest.approx(700, abs=3)
    assert [warning.code for warning in download.warnings] == ["live_stream_cut"]
    pieces = {name: count for name, count in radio.seen.items() if name.startswith("/piece/")}
    assert set(pieces.values()) == {1}
    numbers = sorted(int(name.split("/")[2].split(".")[0]) for name in pieces)
    assert numbers == list(range(numbers[0], numbers[0] + 8))


def test_hls_begins_with_the_newest_that_fits(get: Get, radio: Radio) -> None:
    """Of a stream that holds more than is asked for, the last seconds are taken without waiting."""
    radio.seen.clear()
    get(f"{radio.url}/live.m3u8", 2)
    numbers = sorted(int(name.split("/")[2].split(".")[0]) for name in radio.seen if name.startswith("/piece/"))
    assert numbers == [radio.newest - 2, radio.newest - 1]
    assert radio.seen["/live.m3u8"] == 1


@pytest.mark.parametrize(
    ("path", "kind", "says"),
    [("/encrypted.m3u8", ExtractionError, "encrypted"), ("/gone.m3u8", SourceUnavailable, "pieces")],
)
def test_hls_that_cannot_be_recorded(get: Get, radio: Radio, path: str, kind: type[Exception], says: str) -> None:
    """An encrypted stream, and one whose pieces are all gone, end as errors that say so."""
    with pytest.raises(kind, match=says):
        get(radio.url + path, 20)


def test_hls_that_has_ended_needs_no_bound(get: Get, radio: Radio) -> None:
    """It is a recording like any other, with or without the option."""
    assert get(f"{radio.url}/ended.m3u8").warnings == ()
    assert get(f"{radio.url}/ended.m3u8", 2).bytes == radio.window * len(radio.piece)


def test_a_cancel_is_heard_while_nothing_new_is_there(get: Get, radio: Radio) -> None:
    """What `progress` raises ends the recording."""

    def stop(share: float) -> None:
        if share > 0:
            raise Interrupted("cancelled")

    for path in ("/live.m3u8", "/icecast"):
        with pytest.raises(Interrupted):
            get(radio.url + path, 60, progress=stop)


@pytest.mark.parametrize(
    "player",
    [
        '<video><source src="{url}/live.m3u8" type="application/x-mpegURL"></video>',
        '<audio src="{url}/icecast"></audio>',
    ],
    ids=["hls", "radio"],
)
def test_a_page_says_where_its_live_stream_is(get: Get, radio: Radio, tmp_path: Path, player: str) -> None:
    """yt-dlp finds the stream on a page; the recording is made by the worker, through the guard."""
    media = MediaServer()
    body = f"<html><title>On air</title>{player.format(url=radio.url)}</html>"
    media.pages["/on-air"] = ("text/html", body.encode())
    with pytest.raises(LiveStream, match="max_duration"):
        get(f"{media.url}/on-air", others=(radio.host,))
    download = get(f"{media.url}/on-air", 2, others=(radio.host,))
    assert sound_of(download, tmp_path)[1] == pytest.approx(700, abs=3)
    assert [warning.code for warning in download.warnings] == ["live_stream_cut"]
    with pytest.raises(BlockedAddress):
        get(f"{media.url}/on-air", 2)
    media.close()


@pytest.mark.parametrize("where", ["piece", "variant", "header"])
def test_no_part_of_a_stream_leads_inside(get: Get, where: str) -> None:
    """Playlists, pieces and their header that name an address on loopback are blocked, and nobody is visited."""
    canary, media = Canary(), MediaServer()
    inside = f"http://127.0.0.1:{canary.port}/x"
    texts = {
        "piece": f"#EXTINF:1,\n{inside}\n",
        "variant": f"#EXT-X-STREAM-INF:BANDWIDTH=1\n{inside}\n",
        "header": f'#EXT-X-MAP:URI="{inside}"\n#EXTINF:1,\n/calls/a.wav\n',
    }
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{texts[where]}"
    media.pages["/live.m3u8"] = ("application/vnd.apple.mpegurl", text.encode())
    with pytest.raises(BlockedAddress):
        get(f"{media.url}/live.m3u8", 5)
    assert hits(canary) == 0
    canary.close()
    media.close()


def test_odd_playlists_are_read_without_harm() -> None:
    """Numbers that are none, endless ones and attributes without values pass."""
    playlist = hls.read(
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:x\n#EXTINF:nan,\na\n#EXTINF:1e999,\nb\n#EXT-X-MAP:\n", "http://h/"
    )
    assert [piece.seconds for piece in playlist.pieces] == [0.0, 0.0]
    assert [piece.number for piece in playlist.pieces] == [0, 1]


def test_the_bound_is_no_limit_of_a_file(get: Get) -> None:
    """A recording with a length is fetched whole, however small the bound is."""
    media = MediaServer()
    download = get(f"{media.url}/calls/a.wav", 1)
    assert (download.bytes, download.warnings) == (len(TONE), ())
    media.close()
