"""Images are pulled by digest, with the tag beside it, and `scripts/supply/pin_images.py` asks registries for them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scripts.supply import pin_images
from scripts.supply.pin_images import Image, NoDigest
from tests.deploy.composed import project, read
from tests.deploy.images.dockerfiles import ROOT, stages

PROFILES = ("--profile=gpu", "--profile=monitoring", "--profile=logging")
TOKEN = "of this repository"


class Registry:
    """A registry that wants a token for each repository, as Docker's does."""

    def __init__(self) -> None:
        self.manifests: dict[str, bytes] = {}
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                if path == "/token":
                    self.answer(200, json.dumps({"token": f"{TOKEN} {query}"}).encode())
                    return
                repository = path.removeprefix("/v2/").partition("/manifests/")[0]
                scope = f"repository%3A{repository.replace('/', '%2F')}%3Apull"
                if self.headers.get("Authorization") != f"Bearer {TOKEN} service=registry&scope={scope}":
                    challenge = f'realm="{registry.url}/token",service="registry",scope="repository:{repository}:pull"'
                    self.answer(401, b"{}", {"WWW-Authenticate": f"Bearer {challenge}"})
                elif path in registry.manifests and "image.index" in self.headers["Accept"]:
                    self.answer(200, registry.manifests[path])
                else:
                    self.answer(404, b"{}")

            def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: pytest shows what matters."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"

    def push(self, repository: str, tag: str, platforms: tuple[str, ...] = ("amd64", "arm64"), text: str = "") -> str:
        """An image for these processors; returns its digest."""
        manifests = [{"platform": {"os": "linux", "architecture": each}, "digest": text} for each in platforms]
        content = json.dumps({"manifests": manifests}).encode()
        self.manifests[f"/v2/{repository}/manifests/{tag}"] = content
        return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def registry() -> Iterator[Registry]:
    running = Registry()
    thread = threading.Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield running
    running.server.shutdown()
    running.server.server_close()
    thread.join()


@pytest.fixture
def checkout(tmp_path: Path, registry: Registry) -> Path:
    """The files that name images, with every image in the registry of this test and without its digest."""
    for file in pin_images.FILES:
        target = tmp_path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, target)
        text = pin_images.REFERENCE.sub(
            lambda match: (
                f"{match['before']}{registry.host}/{match['image'].replace(':', '/image:', 1)}"
                if "/" not in match["image"]
                else f"{match['before']}{registry.host}/{match['image']}"
            ),
            target.read_text(),
        )
        target.write_text(text)
    return tmp_path


def test_every_image_is_pulled_by_digest() -> None:
    """All images that compose pulls or Dockerfiles begin with have a full tag and a digest beside it."""
    described = read_services()
    pulled = {service["image"] for service in described.values() if "build" not in service}
    files = ("Dockerfile", "Dockerfile.worker", "deploy/caddy/Dockerfile")
    bases = {stage.base for file in files for stage in stages(file)}
    bases -= {stage.name for file in files for stage in stages(file)}
    minio = re.findall(r"image: (\S+)", "".join(file.read_text() for file in (ROOT / "compose").glob("*.yml")))
    others = {image for image in minio if f"image: {image}" not in (ROOT / pin_images.BY_TAG).read_text()}
    for image in pulled | bases | others:
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*@sha256:[0-9a-f]{64}", image), image
    assert pulled | bases | others == {f"{image}{pin}" for image, pin in pin_images.images(ROOT).items()}
    assert len(pulled) == 8 and len(bases) == 3 and len(others) == 1


def test_caddys_images_are_of_its_version() -> None:
    """The builder and the image of Caddy have the version that is built."""
    text = (ROOT / "deploy/caddy/Dockerfile").read_text()
    version = re.findall(r"^ARG CADDY_VERSION=(\S+)", text, re.MULTILINE)[0]
    assert re.findall(r"_IMAGE=caddy:([\d.]+)-", text) == [version, version]


def test_an_archive_of_images_can_be_used(tmp_path: Path) -> None:
    """compose/by-tag.yml is up to date, and with it compose names every image as before, but for the digests."""
    assert (ROOT / pin_images.BY_TAG).read_text() == pin_images.by_tag(ROOT)
    folder = project(tmp_path / "project", {})
    by_tag = read(folder, "-f", "docker-compose.yml", "-f", pin_images.BY_TAG, *PROFILES)["services"]
    pinned = read(folder, "-f", "docker-compose.yml", *PROFILES)["services"]
    assert {name: each["image"].partition("@")[0] for name, each in pinned.items()} == {
        name: each["image"] for name, each in by_tag.items()
    }
    assert not [each["image"] for each in by_tag.values() if "@" in each["image"]]
    assert by_tag["models"]["environment"] == pinned["models"]["environment"] | {"HF_HUB_OFFLINE": "1"}


def test_digests_come_from_the_registries(checkout: Path, registry: Registry) -> None:
    """Each image gets the digest that its registry has for its tag, and nothing else in the files changes; what has
    become old is replaced, and --check tells beforehand."""
    names = list(pin_images.images(checkout))
    before = {file: (checkout / file).read_text() for file in pin_images.FILES}
    for text in ("first", "second"):
        pins = {name: registry.push(Image(name).repository, Image(name).tag, text=text) for name in names}
        with pytest.raises(SystemExit, match=r"other images than the files: .*postgres"):
            pin_images.main(["--check"], checkout)
        pin_images.main([], checkout)
        pin_images.main(["--check"], checkout)
        assert pin_images.images(checkout) == {name: f"@{pin}" for name, pin in pins.items()}
    for file, text in before.items():
        assert re.sub(r"@sha256:[0-9a-f]{64}", "", (checkout / file).read_text()) == text
    assert (checkout / pin_images.BY_TAG).read_text() == pin_images.by_tag(checkout)


def test_nothing_is_written_where_a_registry_refuses(checkout: Path, registry: Registry) -> None:
    """Where one image is unknown, or has no build for ARM, no file changes, and the image is named."""
    names = list(pin_images.images(checkout))
    before = {file: (checkout / file).read_text() for file in pin_images.FILES}
    for name in names[1:]:
        registry.push(Image(name).repository, Image(name).tag)
    with pytest.raises(NoDigest, match=f"{re.escape(names[0])}: .* gave no digest: .*404"):
        pin_images.main([], checkout)
    registry.push(Image(names[0]).repository, Image(names[0]).tag, platforms=("amd64",))
    with pytest.raises(NoDigest, match=f"{re.escape(names[0])}: .* has no image for linux/arm64"):
        pin_images.main([], checkout)
    assert {file: (checkout / file).read_text() for file in pin_images.FILES} == before


def test_the_command_says_a_failure_in_a_line(tmp_path: Path) -> None:
    """A registry that cannot be reached ends the command with one line and status 1."""
    for file in pin_images.FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("ARG X_IMAGE=127.0.0.1:9/postgres:18.4-bookworm\n")
    program = "import sys; from pathlib import Path; from scripts.supply import pin_images as p\n"
    program += "try: p.main([], Path(sys.argv[1]))\nexcept p.NoDigest as error: sys.exit(str(error))"
    run = subprocess.run(
        (sys.executable, "-c", program, str(tmp_path)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 1
    assert run.stderr.startswith("127.0.0.1:9/postgres:18.4-bookworm: 127.0.0.1:9 gave no digest: ")
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("postgres:18.4", "https://registry-1.docker.io/v2/library/postgres/manifests/18.4"),
        ("grafana/loki:3.7.6", "https://registry-1.docker.io/v2/grafana/loki/manifests/3.7.6"),
        ("quay.io/minio/minio:R.1", "https://quay.io/v2/minio/minio/manifests/R.1"),
        ("127.0.0.1:5000/a/b:1", "http://127.0.0.1:5000/v2/a/b/manifests/1"),
    ],
)
def test_a_name_leads_to_its_registry(name: str, url: str) -> None:
    """Names are read as Docker reads them."""
    assert Image(name).url == url


def read_services() -> dict[str, Any]:
    """All services of docker-compose.yml."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        services: dict[str, Any] = read(project(Path(folder) / "project", {}), *PROFILES)["services"]
    return services
