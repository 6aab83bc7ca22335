"""Recordings by URL, the whole way: POST a URL, workers fetch it, and a transcript comes out."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest

from scripts.local.apps import API, worker
from scripts.local.stack import Stack
from shared.config import Settings
from shared.states import TERMINAL
from shared.storage import storage_of
from shared.storage.s3 import S3
from tests.faults.rig import Rig, start, stopped
from tests.service.gateway import eventually, gateway_on
from tests.unit.addresses.radio import Radio
from tests.unit.intake.outside import TONE, Canary, MediaServer, hits, tone

MAX_BYTES = 200_000
BUCKET = "recordings"


@pytest.fixture(scope="module")
def media() -> Iterator[MediaServer]:
    server = MediaServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    listener = Canary()
    yield listener
    listener.close()


@pytest.fixture(scope="module")
def radio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radio]:
    station = Radio.on_air(tmp_path_factory.mktemp("radio"))
    yield station
    station.close()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, media: MediaServer, canary: Canary, radio: Radio) -> Iterator[Rig]:
    """A stack whose workers may fetch from `media` and `radio`, and from the bucket `recordings`."""
    settings = {
        "egress_allow_hosts": f"{media.host},{radio.host}",
        "max_live_recording_s": 30,
        "egress_ports": f"80,443,{canary.port}",
        "s3_source_buckets": f"{BUCKET},parley",
        "max_upload_bytes": MAX_BYTES,
        "allow_tiktok_adapter": False,
        "sleeper_seconds": 0.01,
    }
    apps = (API, worker("all", "io,cpu,asr,diarize", concurrency=2, threads=1))
    with start(tmp_path_factory.mktemp("urls"), apps, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def http(rig: Rig) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {rig.stack.api_key}"}
    with httpx.Client(base_url=rig.stack.url, headers=headers, timeout=30) as client:
        yield client


Post = Callable[..., str]


@pytest.fixture
def post(http: httpx.Client) -> Post:
    """Send a URL with options as JSON; gives the task's id."""

    def send(url: str, **options: object) -> str:
        answer = http.post("/transcribe", json={"url": url, **options})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    return send


def ended(http: httpx.Client, task: str) -> dict[str, object]:
    """GET /tasks/{id} once the task has ended."""

    def look() -> dict[str, object] | None:
        detail: dict[str, object] = http.get(f"/tasks/{task}").json()
        return detail if detail["status"] in TERMINAL else None

    task_status: dict[str, object] = eventually(look, f"{task} ends")
    return task_status


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("how", ["json", "data", "files"])
def test_a_url_becomes_a_transcript(http: httpx.Client, media: MediaServer, how: str) -> None:
    """As JSON, urlencoded or in a multipart form; what was found behind it is told, and the result is there."""
    url = f"{media.url}/calls/{how}.wav"
    body = (
        {"files": {"url": (None, url), "format": (None, "text")}}
        if how == "files"
        else {how: {"url": url, "format": "text"}}
    )
    answer = http.post("/transcribe", **body)
    assert answer.status_code == 202, answer.text
    task = answer.json()["task_id"]
    detail = ended(http, task)
    assert (detail["status"], detail["error"], detail["progress"]) == ("done", None, 100)
    file = detail["file"]
    assert isinstance(file, dict)
    assert (file["name"], file["bytes"], file["url"]) == (f"{how}.wav", len(TONE), url)
    assert detail["duration"] == pytest.approx(2.0, abs=0.1)
    assert http.get(f"/result/{task}").status_code == 200


def test_a_page_becomes_a_transcript(http: httpx.Client, post: Post, media: MediaServer) -> None:
    """The worker sends yt-dlp to the page, through the proxy."""
    media.pages["/talk"] = ("text/html", b"<html><title>The talk</title><audio src='/calls/talk.wav'></audio></html>")
    assert ended(http, post(f"{media.url}/talk"))["status"] == "done"


def test_a_server_that_is_busy_or_hangs_up_costs_no_attempt(http: httpx.Client, post: Post, media: MediaServer) -> None:
    """It answers 503 twice, or hangs up in mid-file and knows what it had sent: the first attempt has the recording."""
    for path in ("/busy/503/2/a.wav", "/breaks/10000/a.wav?as=ETag:%22one%22"):
        task = ended(http, post(media.url + path))
        assert task["status"] == "done", task["error"]
        stages = task["stages"]
        assert isinstance(stages, list)
        assert [stage["attempts"] for stage in stages if stage["name"] == "download"] == [1]


def test_an_object_becomes_a_transcript(http: httpx.Client, post: Post, rig: Rig) -> None:
    """From a bucket that is listed; neither from another one nor from Parley's own, even if that is listed."""
    storage = rig.truth.storage
    assert isinstance(storage, S3)
    storage.client.create_bucket(Bucket=BUCKET)
    storage.client.put_object(Bucket=BUCKET, Key="calls/a b#1.wav", Body=tone(1.0))
    storage.client.put_object(Bucket=BUCKET, Key="large.wav", Body=bytes(MAX_BYTES + 1))
    detail = ended(http, post(f"s3://{BUCKET}/calls/a b#1.wav"))
    assert detail["status"] == "done", detail["error"]
    assert isinstance(detail["file"], dict)
    assert detail["file"]["name"] == "a b#1.wav"
    for key, code in (("missing.wav", "extraction_error"), ("large.wav", "file_too_large")):
        error = ended(http, post(f"s3://{BUCKET}/{key}"))["error"]
        assert isinstance(error, dict)
        assert error["code"] == code
    for bucket in ("other", "parley"):
        answer = http.post("/transcribe", json={"url": f"s3://{bucket}/calls/a.wav"})
        assert problem(answer) == (422, "blocked_address")


def test_an_object_store_that_is_away_is_waited_for(http: httpx.Client, post: Post, rig: Rig) -> None:
    """Parley's own recordings wait for it, too: no attempt is counted, and the object is fetched when it is back."""
    storage = rig.truth.storage
    assert isinstance(storage, S3)
    with suppress(storage.client.exceptions.BucketAlreadyOwnedByYou):
        storage.client.create_bucket(Bucket=BUCKET)
    storage.client.put_object(Bucket=BUCKET, Key="calls/late.wav", Body=tone(1.2))
    with stopped(rig, "seaweedfs"):
        task = uuid.UUID(post(f"s3://{BUCKET}/calls/late.wav"))
        eventually(lambda: rig.truth.stage(task, "download").error_code, "the download has failed")
        assert rig.truth.stage(task, "download").error_code == "storage_unavailable"
    assert ended(http, str(task))["status"] == "done"
    assert rig.truth.stage(task, "download").attempt == 1


def test_the_same_url_is_fetched_once(http: httpx.Client, post: Post, media: MediaServer) -> None:
    """In any spelling, with the same options: cached. With others: not fetched again. With refresh: fetched again."""
    url = f"{media.url}/calls/once.wav"
    assert ended(http, post(url))["status"] == "done"
    again = http.post("/transcribe", json={"url": url.replace("http", "HTTP") + "#t=30"}).json()
    assert again["status"] == "done"
    assert http.get(f"/result/{again['task_id']}").json()["cached"]
    detail = http.get(f"/tasks/{again['task_id']}").json()
    assert detail["file"]["bytes"] == len(TONE)
    assert ended(http, post(url, language="de"))["status"] == "done"
    assert media.seen["/calls/once.wav"] == 1
    assert ended(http, post(url, refresh=True))["status"] == "done"
    assert media.seen["/calls/once.wav"] == 2
    assert ended(http, post(url + "?utm_source=x"))["status"] == "done"
    assert media.seen["/calls/once.wav"] == 3


def test_what_went_wrong_is_the_tasks_error(http: httpx.Client, post: Post, media: MediaServer, canary: Canary) -> None:
    """Each cause has its code; inside addresses behind a redirect or on a page are blocked_address, untouched."""
    inside = f"http://127.0.0.1:{canary.port}/a.wav"
    media.pages["/nothing"] = ("text/html", b"<html><title>x</title></html>")
    media.pages["/inside"] = ("text/html", f"<html><title>x</title><audio src='{inside}'></audio></html>".encode())
    media.pages["/empty"] = ("audio/wav", b"")
    expected = {
        "/status/404": "extraction_error",
        "/nothing": "extraction_error",
        "/status/503": "source_unavailable",
        "/endless/a.wav": "file_too_large",
        "/empty": "no_audio",
        f"/to/2?url={inside}": "blocked_address",
        "/inside": "blocked_address",
    }
    tasks = {path: post(media.url + path) for path in expected}
    for path, task in tasks.items():
        error = ended(http, task)["error"]
        assert isinstance(error, dict)
        assert error["code"] == expected[path], path
        assert "/tmp" not in error["message"]
    assert media.seen["/status/404"] == 1  # what will not change is not tried again
    assert media.seen["/status/503"] == 3 * 5  # each attempt asks again behind four pauses
    assert hits(canary) == 0


def test_a_failed_url_can_be_tried_again(http: httpx.Client, post: Post, media: MediaServer) -> None:
    """The new task fetches what was not there the first time."""
    task = post(f"{media.url}/later")
    assert ended(http, task)["status"] == "error"
    media.pages["/later"] = ("audio/wav", tone(1.5))
    answer = http.post(f"/tasks/{task}/retry")
    assert answer.status_code == 202, answer.text
    detail = ended(http, answer.json()["task_id"])
    assert (detail["status"], detail["retry_of"]) == ("done", task)


def test_a_download_can_be_cancelled_and_deleted(http: httpx.Client, post: Post, media: MediaServer, rig: Rig) -> None:
    """A server that drips does not hold the worker; deleting leaves no row and no object."""
    task = post(f"{media.url}/drip/a.wav")
    eventually(lambda: media.seen["/drip/a.wav"], "the download begins")
    http.post(f"/tasks/{task}/cancel")
    assert ended(http, task)["status"] == "cancelled"
    ended_task = post(f"{media.url}/calls/gone.wav")
    ended(http, ended_task)
    receipt = http.delete(f"/tasks/{ended_task}").json()
    assert (receipt["verified"], receipt["objects"] >= 4) == (True, True)
    assert rig.truth.objects(uuid.UUID(ended_task)) == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"url": "file:///etc/passwd"}, 422, "invalid_url"),
        ({"url": "ftp://example.org/a.wav"}, 422, "invalid_url"),
        ({"url": "http://user:password@example.org/"}, 422, "invalid_url"),
        ({"url": "http://2130706433/"}, 422, "invalid_url"),
        ({"url": "http://a\x00b/"}, 422, "invalid_request"),
        ({"url": "http://\ud800/"}, 422, "invalid_request"),
        ({"url": "s3://recordings"}, 422, "invalid_url"),
        ({"url": "http://127.0.0.1/"}, 422, "blocked_address"),
        ({"url": "http://[::ffff:127.0.0.1]/"}, 422, "blocked_address"),
        ({"url": "http://169.254.169.254/latest/meta-data/"}, 422, "blocked_address"),
        ({"url": "https://example.org:22/"}, 422, "blocked_address"),
        ({"url": "https://vm.tiktok.com/x"}, 403, "adapter_disabled"),
        ({"url": "https://www.TikTok.com/@a/video/1"}, 403, "adapter_disabled"),
        ({"url": ""}, 422, "invalid_request"),
        ({"url": ["http://example.org/"]}, 422, "invalid_request"),
        ({"url": "http://example.org/", "nonsense": 1}, 422, "invalid_request"),
        ({"url": "http://example.org/", "refresh": "perhaps"}, 422, "invalid_request"),
        ({"url": "http://example.org/", "language": "xx"}, 422, "invalid_request"),
        ({}, 422, "invalid_request"),
    ],
)
def test_a_wrong_url_is_refused_at_once(http: httpx.Client, body: dict[str, object], status: int, code: str) -> None:
    """What can be told without asking anybody is told before there is a task."""
    before = len(http.get("/history?limit=100").json()["items"])
    content = json.dumps(body)
    answer = http.post("/transcribe", content=content, headers={"Content-Type": "application/json; charset=utf-8"})
    assert problem(answer) == (status, code)
    assert len(http.get("/history?limit=100").json()["items"]) == before


def test_a_file_and_a_url_exclude_each_other(http: httpx.Client) -> None:
    """Both at once is an error, and nothing of the file is kept."""
    answer = http.post("/transcribe", files={"file": ("a.wav", TONE)}, data={"url": "http://example.org/a.wav"})
    assert problem(answer) == (422, "invalid_request")
    assert http.post("/transcribe", files={"file": ("b.wav", tone(1.0))}, data={"url": ""}).status_code == 202


def test_the_switches_turn_adapters_off(
    servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """ALLOW_URL_ADAPTER and ALLOW_UPLOAD_ADAPTER close their doors with 403; nothing is stored."""

    off = {"ALLOW_URL_ADAPTER": "false", "ALLOW_UPLOAD_ADAPTER": "false"}
    with gateway_on(servers, tmp_path_factory.mktemp("off"), storage_of(environment), **off) as gateway:
        caller = gateway.caller()
        with caller.http:
            for body in ({"json": {"url": "http://example.org/a.wav"}}, {"files": {"file": ("a.wav", TONE)}}):
                assert problem(caller.http.post("/transcribe", **body)) == (403, "adapter_disabled")
        assert gateway.left_behind(caller) == (set(), 0, 0)


def test_a_live_stream_becomes_a_transcript_of_a_part(http: httpx.Client, post: Post, radio: Radio) -> None:
    """Without max_duration the task ends with the error that names it; with it, a warning says that more was to come,
    and the next task records anew."""
    url = f"{radio.url}/live.m3u8"
    refused = ended(http, post(url))
    assert (refused["status"], refused["error"]["code"]) == ("error", "live_stream")  # type: ignore[index]
    for _ in range(2):
        radio.seen.clear()
        task = post(url, max_duration=3)
        detail = ended(http, task)
        assert detail["status"] == "done"
        assert detail["duration"] == pytest.approx(3, abs=0.3)
        assert "live_stream_cut" in [warning["code"] for warning in http.get(f"/result/{task}").json()["warnings"]]
        assert sum(name.startswith("/piece/") for name in radio.seen) == 3


def test_a_bound_is_refused_where_it_means_nothing(http: httpx.Client, radio: Radio) -> None:
    """Beyond the server's, for a file, or as no number, max_duration is an error that names it."""
    for answer in (
        http.post("/transcribe", json={"url": f"{radio.url}/icecast", "max_duration": 31}),
        http.post("/transcribe", json={"url": f"{radio.url}/icecast", "max_duration": 0}),
        http.post("/transcribe", data={"max_duration": "10"}, files={"file": ("a.wav", TONE)}),
    ):
        assert problem(answer) == (422, "invalid_request")
        assert answer.json()["detail"]["parameter"] == "max_duration"


def test_a_playlist_leads_to_no_site_that_is_switched_off(http: httpx.Client, post: Post, media: MediaServer) -> None:
    """What its entry names is checked as if it had been sent."""
    media.pages["/clip.m3u"] = ("audio/x-mpegurl", b"https://www.tiktok.com/@a/video/1\n")
    detail = ended(http, post(f"{media.url}/clip.m3u"))
    assert (detail["status"], detail["error"]["code"]) == ("error", "adapter_disabled")  # type: ignore[index]
