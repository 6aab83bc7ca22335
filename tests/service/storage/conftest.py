"""Every kind of object store: two S3 servers and a folder."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from scripts.local.home import Home
from shared.config import Settings
from shared.storage import Storage, storage_of
from tests.kubernetes.programs import program
from tests.programs import unavailable

START_TIMEOUT_S = 30
NOWHERE = {"database_url": "postgresql+psycopg://nowhere/none", "redis_url": "redis://nowhere/0"}
KEYS = {"aws_access_key_id": "a-test", "aws_secret_access_key": "the-secret-of-a-test"}


@contextmanager
def versitygw(folder: Path) -> Iterator[dict[str, str]]:
    """The settings of a versitygw, which keeps the bucket in a folder of its own."""
    binary = program("versitygw")
    if binary is None:
        unavailable("this needs a versitygw: set PARLEY_TEST_BIN to a folder with its file")
    home = Home(folder / "home")
    home.path.mkdir()
    (folder / "data").mkdir()
    port = home.ports(["versitygw"])["versitygw"]
    address = f"http://127.0.0.1:{port}"
    environ = {"ROOT_ACCESS_KEY": KEYS["aws_access_key_id"], "ROOT_SECRET_KEY": KEYS["aws_secret_access_key"]}
    argv = (str(binary), "--port", f"127.0.0.1:{port}", "--health", "/health", "posix", str(folder / "data"))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, env=environ, cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(f"{address}/health"):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.05)
        yield {"object_store": "s3", "s3_endpoint_url": address, "s3_public_endpoint_url": address} | KEYS
    finally:
        process.kill()
        process.wait(START_TIMEOUT_S)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module", params=["seaweedfs", "versitygw", "folder"])
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a process needs to use the store, by the names of shared/config.py."""
    match request.param:
        case "seaweedfs":
            config: Settings = request.getfixturevalue("environment")
            assert config.aws_access_key_id and config.aws_secret_access_key
            yield {
                "object_store": "s3",
                "s3_endpoint_url": config.s3_endpoint_url or "",
                "s3_public_endpoint_url": config.s3_public_endpoint_url or "",
                "aws_access_key_id": config.aws_access_key_id.get_secret_value(),
                "aws_secret_access_key": config.aws_secret_access_key.get_secret_value(),
            }
        case "versitygw":
            with versitygw(tmp_path_factory.mktemp("versitygw")) as running:
                yield running
        case "folder":
            yield {"object_store": str(tmp_path_factory.mktemp("folder") / "store")}


@pytest.fixture(scope="module")
def store(settings: dict[str, str]) -> Storage:
    """The store with its bucket."""
    storage = storage_of(Settings.model_validate(NOWHERE | settings))
    storage.ensure_bucket()
    return storage


@pytest.fixture
def prefix(store: Storage) -> Iterator[str]:
    """What the keys of one test begin with; ends in a slash."""
    key_prefix = f"{uuid.uuid4()}/"
    yield key_prefix
    store.abort_uploads(key_prefix)
    store.delete(store.list(key_prefix))
