"""An object store that takes nothing more: recordings are 507 at once, everything else goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from cli.commands.doctor import ADVICE
from scripts.local.home import Home
from scripts.local.seaweedfs import SeaweedFS
from scripts.local.stack import Stack
from shared.config import Settings
from shared.errors import StorageFull, StorageRefused
from shared.intake.parts import MIN_PART_BYTES
from shared.storage import PART_BYTES, storage_of
from shared.storage.fullness import SURE_AFTER_S
from tests.service.gateway import NOTHING, Caller, Gateway, RawUpload, eventually, finish, gateway_on

DISK = "160m"
FILLER_BYTES = 40 * 1024**2
SMALL_DISK = (
    f'mount -t tmpfs -o size={DISK} tmpfs "$1" && head -c {FILLER_BYTES} /dev/zero >"$1/filler"; shift; exec "$@"'
)
PREFIX = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK, "sh")


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@dataclass
class SmallDisk:
    """A SeaweedFS on a disk of its own."""

    env: dict[str, str]
    pid: int
    folder: Path

    def make_room(self) -> None:
        """Remove the file that takes a quarter of the disk, which only processes of its namespace see."""
        inside = Path(f"/proc/{self.pid}/root{self.folder}/filler")
        inside.unlink()


@contextmanager
def seaweedfs(folder: Path) -> Iterator[SmallDisk]:
    folder.mkdir()
    key, secret = "small-disk", "a-secret-of-the-small-disk"
    # of those that no stack of another lane takes, and no connection as its own end
    s3, master, volume, filer, admin = Home(folder.parent).ports(("s3", "master", "volume", "filer", "admin")).values()
    server = SeaweedFS(folder, s3, master, volume, filer, admin, key, secret, "parley")
    command, endpoint = server.command(), server.env["S3_ENDPOINT_URL"]
    with (folder.parent / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            (*PREFIX, str(folder), *command.argv), env=command.env, cwd=folder.parent, stdout=log, stderr=log
        )
    try:
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

        def is_up() -> bool:
            assert process.poll() is None, (folder.parent / "weed.log").read_text()[-2000:]
            try:
                client.put_object(Bucket="parley", Key="first", Body=b"x")
            except Exception:  # noqa: BLE001 - whatever it says before it is up
                return False
            return True

        eventually(is_up, "SeaweedFS takes an object")
        yield SmallDisk(server.env, process.pid, folder)
    finally:
        process.kill()  # nobody needs what it holds, and it would take a minute to end
        process.wait(60)
        server.tidy()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    probe = subprocess.run((*PREFIX[:4], "true"), capture_output=True, check=False) if shutil.which("unshare") else None
    if probe is None or probe.returncode:
        pytest.skip("needs user namespaces (`unshare --user --mount`), for a disk of its own")
    with seaweedfs(tmp_path_factory.mktemp("disk") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(
    small: SmallDisk, servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    names = {name.lower(): value for name, value in small.env.items()}
    config = Settings.model_validate({**environment.model_dump(), **names})
    with gateway_on(servers, tmp_path_factory.mktemp("gateway"), storage_of(config), **small.env) as running:
        yield running


def health(gateway: Gateway) -> str:
    return str(httpx.get(f"{gateway.url}/health", timeout=30).json()["checks"]["storage"])


def test_a_full_disk_is_told_at_once_until_there_is_room(gateway: Gateway, small: SmallDisk) -> None:
    """SeaweedFS on a full disk only fails. Soon every recording is 507 before its body, health and doctor say why,
    calls that store nothing go on, nothing is left of what was refused; with room again recordings are taken."""
    caller, admin = gateway.caller(), gateway.caller("admin")
    first = caller.task()
    finish(first, gateway.storage)
    assert health(gateway) == "ok"
    began = time.monotonic()
    filler = gateway.caller()
    while filler.submit(os.urandom(MIN_PART_BYTES)).status_code == 202:
        assert time.monotonic() - began < 120
    eventually(lambda: health(gateway) == "full", "health says that it is full")

    status, answer = RawUpload(gateway, caller.key, 10_000).answer()  # of whose body nothing was sent
    assert (status, '"storage_full"' in answer) == (507, True)
    assert problem(caller.submit(os.urandom(100))) == (507, "storage_full")
    assert problem(caller.http.post("/uploads", json={"bytes": 1000})) == (507, "storage_full")
    ready = httpx.get(f"{gateway.url}/health/ready", timeout=30)
    assert (ready.status_code, ready.json()["checks"]["storage"]) == (503, "full")
    assert "storage full" in ADVICE
    assert caller.http.get(f"/result/{first}").status_code == 200
    assert caller.http.patch(f"/tasks/{first}", json={"tags": ["north"]}).status_code == 200
    assert caller.http.patch(f"/tasks/{first}", json={"speakers": {"spk_1": "Anna"}}).status_code == 200
    assert admin.http.get("/admin/keys").status_code == 200
    assert gateway.left_behind(caller)[1:] == NOTHING[1:]

    small.make_room()
    eventually(lambda: health(gateway) == "ok", "health says that there is room")
    assert caller.submit(os.urandom(100)).status_code == 202
    assert caller.http.delete(f"/tasks/{first}").status_code in (200, 202)


# ---- what other servers say


@contextmanager
def server_that_says(status: int, code: str) -> Iterator[str]:
    """An S3 server that answers every PUT and POST so."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()

    class Refuses(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_POST = _refuse  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: Any) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(30)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (507, "InsufficientStorage", StorageFull),  # versitygw
        (507, "XMinioStorageFull", StorageFull),
        (400, "XMinioAdminBucketQuotaExceeded", StorageFull),
        (403, "QuotaExceeded", StorageFull),  # Ceph
        (507, "", StorageFull),
        (500, "InternalError", StorageRefused),
        (503, "SlowDown", StorageRefused),
        (403, "AccessDenied", StorageRefused),
    ],
)
def test_what_servers_say_when_they_are_full(
    environment: Settings, status: int, code: str, kind: type[Exception]
) -> None:
    """Each way of saying it is storage_full, for a small object, a stream and the begin of an upload in parts; what
    means something else is not."""
    with server_that_says(status, code) as url:
        storage = storage_of(environment, url)
        with pytest.raises(kind) as caught:
            storage.put("key", b"x")
        assert type(caught.value) is kind
        writer = storage.writer("key")
        assert writer.write(os.urandom(PART_BYTES))
        with pytest.raises(kind):
            writer.flush()
        with pytest.raises(kind):
            storage.begin("key")


def test_a_server_that_says_full_is_believed_at_once(
    servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The first recording is 507, not 503, and so is the next, before its body."""
    with (
        server_that_says(507, "XMinioStorageFull") as url,
        gateway_on(
            servers, tmp_path_factory.mktemp("gateway"), storage_of(environment), S3_ENDPOINT_URL=url
        ) as gateway,
    ):
        caller: Caller = gateway.caller()
        for _ in range(2):
            began = time.monotonic()
            assert problem(caller.submit(os.urandom(10))) == (507, "storage_full")
        assert time.monotonic() - began < SURE_AFTER_S
