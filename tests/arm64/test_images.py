"""Each of our images is built for ARM64 by its own Dockerfile, and starts there; its programs are emulated one by one.

What a container's decoder does is tried on the emulated machine: qemu-user does not fit into the decoder's limits.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from api import VERSION
from tests.arm64 import emulator, images
from tests.arm64.conftest import skip_without
from tests.deploy.images.test_images import IMAGES, PROGRAMS
from tests.engine.engine import Engine, running
from tests.engine.folder import WorkFolder
from tests.engine.probe import obstacle

pytestmark = pytest.mark.timeout(7200)

DATA = "docker-arm64"
ADDRESSES = ("-e", "DATABASE_URL=postgresql+psycopg://127.0.0.1:1/none", "-e", "REDIS_URL=redis://127.0.0.1:1/0")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine for images of ARM64, which takes all of them with it when it goes."""
    folder = WorkFolder.of_environment()
    skip_without("container engine for ARM64", emulator.obstacle() or obstacle(folder))
    try:
        with emulator.registered(), running(folder, DATA) as started:
            images.make_bases(started)
            yield started
    finally:
        shutil.rmtree(folder.path / DATA, ignore_errors=True)


@pytest.fixture(scope="module")
def checkout(engine: Engine) -> Iterator[Path]:
    with images.checkout(engine) as folder:
        yield folder


def test_caddy_starts(engine: Engine, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is the version that its Dockerfile names. The plugin for rate limits is built by nobody here."""
    image = images.build(engine, checkout, "deploy/caddy/Dockerfile", None)
    output = images.run(engine, image, "caddy", "version")
    requirement = next(
        line for line in (checkout / "deploy/caddy/Dockerfile").read_text().splitlines() if "VERSION=" in line
    )
    assert output.split()[0].removeprefix("v") == requirement.rpartition("=")[2]
    assert images.run(engine, image, "uname", "-m").strip() == "aarch64"
    show_size(engine, image, capsys)


@pytest.mark.parametrize(("dockerfile", "target"), IMAGES)
def test_an_image_starts(
    engine: Engine, checkout: Path, dockerfile: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is an ARM64 one, as its own user, and its programs load; the gateway tells its version."""
    image = images.build(engine, checkout, dockerfile, target)
    version = "; from api import VERSION; print(VERSION)" if (has_gateway := target in ("api", "all-in-one")) else ""
    program = f"{PROGRAMS[target]}; import os, platform; print(platform.machine(), os.getuid() > 0){version}"
    options = ("--read-only", "--tmpfs=/tmp", *ADDRESSES)
    words = images.run(engine, image, "python", "-c", program, options=options).split()
    assert words[-3 if has_gateway else -2 :] == ["aarch64", "True", *([VERSION] if has_gateway else [])]
    show_size(engine, image, capsys)


def show_size(engine: Engine, image: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for who reads along."""
    (details,) = engine.inspect(image)
    assert details["Architecture"] == images.ARCHITECTURE
    with capsys.disabled():
        print(f"\n  {image}: {details['Size'] / 1e6:.0f} MB", flush=True)
