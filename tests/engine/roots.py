"""Root folders of Debian, made by mmdebstrap: the engine's own, and the base of the images that stand in."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from tests.engine.folder import WorkFolder

ENGINE_SUITE, NEXT_SUITE, BASE_SUITE = "trixie", "forky", "bookworm"
ENGINE_PACKAGES = (
    "docker.io", "docker-buildx", "docker-cli", "iptables", "ca-certificates", "iproute2", "procps", "curl", "python3",
    "git", "make",
    # a Kubernetes node needs these besides
    "containerd", "runc", "containernetworking-plugins", "conntrack", "ethtool", "socat", "openssl", "util-linux",
)  # fmt: skip
BASE_PACKAGES = (
    "ca-certificates", "netbase", "tzdata", "python3", "python3-venv", "python3-pip", "busybox", "gosu",
    # the official image has it too: Celery beat's file is written at once by gdbm, and at its end by ndbm
    "python3-gdbm",
)  # fmt: skip
NEWER = f"""Package: *
Pin: release n={NEXT_SUITE}
Pin-Priority: 50

Package: docker-buildx
Pin: release n={NEXT_SUITE}
Pin-Priority: 990
"""
"""trixie's buildx is 0.13; compose 5 builds with 0.17 or newer."""

TIMEOUT_S, EMULATED_TIMEOUT_S = 900, 3600


def engine_root(folder: WorkFolder) -> Path:
    """The folder that becomes / of the engine; some 550 MB."""
    return _root(folder, "root-engine", (ENGINE_SUITE, NEXT_SUITE), ENGINE_PACKAGES)


def base_root(folder: WorkFolder, architecture: str = "") -> Path:
    """A tar file with Python 3.11, busybox and gosu, for `docker import`; some 230 MB. For another architecture, as
    Debian calls it, this machine has to run its programs."""
    return _root(folder, "base", (BASE_SUITE,), BASE_PACKAGES, suffix=".tar", architecture=architecture)


def mirror() -> str | None:
    """The Debian archive that this machine's own apt uses, without its last slash."""
    sources = subprocess.run(
        ("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    archives = [line.rstrip("/") for line in sources.stdout.splitlines()]
    return next((uri for uri in archives if uri.endswith("/debian")), None)


def _root(
    folder: WorkFolder,
    name: str,
    suites: tuple[str, ...],
    packages: tuple[str, ...],
    suffix: str = "",
    architecture: str = "",
) -> Path:
    # mmdebstrap's own look at an emulator needs the package arch-test
    foreign = (f"--arch={architecture}", "--skip=check/qemu") if architecture else ()

    def make(draft: Path) -> None:
        source, target = mirror(), draft.with_name(draft.name + suffix)
        preferences = f'printf %s {shlex.quote(NEWER)} > "$1"/etc/apt/preferences.d/newer'
        process = subprocess.run(
            ("nice", "mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(packages)}",
             # clocks of test machines are sometimes ahead of an archive
             '--aptopt=Acquire::Check-Valid-Until "false"', f"--setup-hook={preferences}",
             # documents and languages that nobody reads
             *foreign, *(f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in ("man", "doc", "locale")),
             suites[0], str(target), *(f"deb {source} {suite} main" for suite in suites)),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=EMULATED_TIMEOUT_S if architecture else TIMEOUT_S, check=False,
        )  # fmt: skip
        assert process.returncode == 0, f"mmdebstrap {suites[0]}:\n{process.stdout[-3000:]}"
        if target != draft:
            target.rename(draft)

    name = f"{name}-{architecture}" if architecture else name
    return folder.cached(name, f"{suites} {packages} {NEWER}", make)
