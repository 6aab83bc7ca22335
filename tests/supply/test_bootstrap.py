"""`scripts/bootstrap.py` against package indexes on loopback: which build of torch comes, and that hashes are held."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts import bootstrap
from tests.programs import program
from tests.supply.packages import Index, Manner, Wheel, index, wheel

CARDS = wheel("nvidia-cublas", "13.1.1.3")
TORCH = wheel("torch", "2.13.0", ["nvidia-cublas==13.1.1.3"])
TORCH_CPU = wheel("torch", "2.13.0+cpu")
AUDIO = wheel("torchaudio", "2.11.0")
AUDIO_CPU = wheel("torchaudio", "2.11.0+cpu")
"""PyTorch's index has builds of its own of more than torch."""

CLOSED = socket.socket()
CLOSED.bind(("127.0.0.1", 0))
UNREACHABLE = f"http://127.0.0.1:{CLOSED.getsockname()[1]}"
"""A port where nobody listens, and that no other test is given meanwhile."""

LIMIT_S = 600
ANSWER, PATIENT = "INDEX_ANSWER_S = 3.0\n", f"INDEX_ANSWER_S = {LIMIT_S}\n"
MANNERS: dict[str, Manner] = {"silent": "silent", "stalling": "stalling"}


@dataclass
class Project:
    """A checkout with two packages in its only set, and a virtual environment with nothing but pip."""

    folder: Path
    pypi: Index

    def bootstrap(self, prefix: tuple[str, ...] = (), /, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run it as make does, without this machine's own settings for pip; `prefix` is a program that runs it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "ACCEL"))}
        environment |= {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": self.pypi.url,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "0",
            "TORCH_CPU_INDEX": UNREACHABLE,
        }
        return subprocess.run(
            (*prefix, sys.executable, "scripts/bootstrap.py", "local"),
            cwd=self.folder,
            env=environment | settings,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def installed(self) -> dict[str, str]:
        """Version of each package in the environment, but for those that it came with."""
        folders = (self.folder / ".venv").glob("lib/python*/site-packages/*.dist-info")
        pairs = (folder.name.removesuffix(".dist-info").split("-") for folder in folders)
        return {name: version for name, version in pairs if name not in ("pip", "setuptools")}

    def lock(self, name: str, *wheels: Wheel, head: str = "") -> None:
        pins: dict[str, list[str]] = {}
        for each in wheels:
            pins.setdefault(f"{each.name}=={each.version.partition('+')[0]}", []).append(f"--hash=sha256:{each.sha256}")
        lines = [" ".join((pin, *hashes)) for pin, hashes in pins.items()]
        (self.folder / f"requirements/locks/{name}.txt").write_text("\n".join([head, *lines]) + "\n")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment to copy."""
    folder = tmp_path_factory.mktemp("environment") / ".venv"
    subprocess.run((sys.executable, "-m", "venv", folder), check=True, timeout=LIMIT_S)
    return folder


@pytest.fixture
def project(tmp_path: Path, environment: Path) -> Iterator[Project]:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "requirements/locks").mkdir(parents=True)
    script = Path(bootstrap.__file__).read_text()
    assert ANSWER in script
    # on a busy machine an index that has been silent for three seconds may be about to answer
    (tmp_path / "scripts/bootstrap.py").write_text(script.replace(ANSWER, PATIENT))
    shutil.copytree(environment, tmp_path / ".venv", symlinks=True)
    for name in ("torch-cpu", "torch-cuda"):
        shutil.copy(bootstrap.ROOT / f"requirements/{name}.txt", tmp_path / "requirements")
    (tmp_path / "requirements/worker.txt").write_text("torch==2.13.0\ntorchaudio==2.11.0\n")
    (tmp_path / "requirements/local.txt").write_text("-r worker.txt\n")
    with index([TORCH, CARDS, AUDIO]) as pypi:
        project = Project(tmp_path, pypi)
        project.lock("worker", TORCH, TORCH_CPU, AUDIO)
        project.lock("local", head="-r worker.txt")
        project.lock("torch-cpu", head="-c ../torch-cpu.txt")
        project.lock("torch-cuda", CARDS, head="-c ../torch-cuda.txt")
        yield project


def test_without_a_card_the_build_for_cpus_comes_from_pytorchs_index(project: Project) -> None:
    """torch is PyTorch's build for CPUs, everything else PyPI's, and a second start asks nobody."""
    with index([TORCH_CPU, AUDIO_CPU]) as pytorch:
        first = project.bootstrap(TORCH_CPU_INDEX=pytorch.url)
        assert first.returncode == 0, first.stdout + first.stderr
        assert project.installed() == {"torch": "2.13.0+cpu", "torchaudio": "2.11.0"}
        assert "for CPUs; the first time this downloads about 0.6 GB" in first.stdout
        questions = len(project.pypi.paths) + len(pytorch.paths)
        assert project.bootstrap(TORCH_CPU_INDEX=pytorch.url).stdout == ""
        assert len(project.pypi.paths) + len(pytorch.paths) == questions


def test_another_processor_is_told_what_to_do(project: Project) -> None:
    """Where the kernel says that the machine has 32 bits, a line names what Parley needs, and nothing is installed."""
    run = project.bootstrap((program("setarch"), "linux32"))
    assert run.returncode == 1 and run.stdout == ""
    fault, advice = run.stderr.splitlines()
    assert fault.startswith("Parley needs Linux on x86-64 or ARM64, of 64 bits and with glibc 2.28 or newer; this is ")
    messages = {
        "x86_64": ("Linux on i686.", "docs/deploy.md."),
        "aarch64": (" on armv8l.", "Raspberry Pi OS (64-bit)."),
    }
    ends = messages[platform.machine()]
    assert fault.endswith(ends[0]) and advice.endswith(ends[1]), run.stderr
    assert project.pypi.paths == [] and project.installed() == {}


def test_two_at_once_install_one_after_the_other(project: Project) -> None:
    """`make check` and `make demo` in a fresh checkout: neither breaks the environment that the other one makes."""
    shutil.rmtree(project.folder / ".venv")
    with index([TORCH_CPU, AUDIO_CPU]) as pytorch, ThreadPoolExecutor() as both:
        runs = [both.submit(project.bootstrap, TORCH_CPU_INDEX=pytorch.url) for _ in range(2)]
        results = [run.result() for run in runs]
    assert [result.returncode for result in results] == [0, 0], [r.stdout + r.stderr for r in results]
    assert project.installed() == {"torch": "2.13.0+cpu", "torchaudio": "2.11.0"}
    assert sum("Installing" in result.stdout for result in results) == 1


@pytest.mark.parametrize("manner", ["silent", "stalling", "dead", "without it"])
def test_an_index_that_does_not_answer_is_passed_by(project: Project, manner: str) -> None:
    """An index that is silent, stops amid its page, is dead or lacks the version leaves PyPI's build."""
    shutil.copy(bootstrap.__file__, project.folder / "scripts")
    with index([AUDIO_CPU], MANNERS.get(manner, "good")) as pytorch:
        run = project.bootstrap() if manner == "dead" else project.bootstrap(TORCH_CPU_INDEX=pytorch.url)
        assert run.returncode == 0, run.stdout + run.stderr
        assert project.installed() == {"torch": "2.13.0", "torchaudio": "2.11.0", "nvidia_cublas": "13.1.1.3"}
        assert "for NVIDIA cards; the first time this downloads about 3.1 GB" in run.stdout
        cost = f"Neither pip's sources nor {UNREACHABLE if manner == 'dead' else pytorch.url} "
        assert run.stdout.startswith(cost)
        assert "comes instead: 2.5 GB more to download" in run.stdout.partition("Installing")[0]
        assert pytorch.paths == ([] if manner == "dead" else ["/torch/"])


def test_a_build_for_cpus_in_pips_own_sources_is_taken(project: Project) -> None:
    """Where pip's settings lead to the build for CPUs, PyTorch's index is not asked."""
    shelf = project.folder / "wheels"
    shelf.mkdir()
    (shelf / TORCH_CPU.file).write_bytes(TORCH_CPU.content)
    with index([TORCH_CPU]) as pytorch:
        run = project.bootstrap(PIP_FIND_LINKS=str(shelf), TORCH_CPU_INDEX=pytorch.url)
        assert run.returncode == 0, run.stdout + run.stderr
        assert project.installed()["torch"] == "2.13.0+cpu"
        assert pytorch.paths == []


def test_the_accelerator_can_be_named(project: Project) -> None:
    """ACCELERATOR=cuda takes PyPI's build whatever else is there, also later in an environment that has the other;
    ACCELERATOR=cpu fails where nobody has that build, as does a name that is none."""
    with index([TORCH_CPU]) as pytorch:
        project.bootstrap(TORCH_CPU_INDEX=pytorch.url)
        assert project.installed()["torch"] == "2.13.0+cpu"
        project.bootstrap(ACCELERATOR="cuda", TORCH_CPU_INDEX=pytorch.url)
        assert project.installed()["torch"] == "2.13.0"
    refusal = project.bootstrap(ACCELERATOR="cpu")
    assert (
        refusal.returncode == 1
        and "ACCELERATOR=cpu: pip's sources have no torch 2.13.0+cpu, nor has http" in refusal.stderr
    )
    assert "ACCELERATOR is cpu or cuda, not rocm" in project.bootstrap(ACCELERATOR="rocm").stderr


@pytest.mark.parametrize("name", ["torch", "torchaudio"])
def test_another_file_of_the_same_version_is_refused(project: Project, name: str) -> None:
    """Where an index has another file than the locked one, nothing at all is installed, and a line says why."""
    torch, audio = (
        wheel(each.name, each.version, extra="another file") if each.name == name else each
        for each in (TORCH_CPU, AUDIO)
    )
    with index([torch]) as pytorch, index([TORCH, CARDS, audio]) as pypi:
        run = Project(project.folder, pypi).bootstrap(TORCH_CPU_INDEX=pytorch.url)
    assert run.returncode == 1
    assert "Nothing was installed: a source of packages has a file that is not in requirements/locks." in run.stderr
    assert project.installed() == {}


def test_a_package_that_no_lock_has_is_refused(project: Project) -> None:
    """A dependency that is missing from the locks stops the installation before anything is installed."""
    project.lock("torch-cuda", head="-c ../torch-cuda.txt")
    run = project.bootstrap(ACCELERATOR="cuda")
    assert run.returncode == 1 and "nvidia-cublas==13.1.1.3" in run.stderr
    assert project.installed() == {}


def test_nothing_is_built(project: Project) -> None:
    """A source distribution is not installed, even with its hash: what builds it would be in no lock."""
    source = Wheel("torchaudio", "2.11.0", b"")
    with index([TORCH, CARDS]) as pypi:
        project.lock("worker", TORCH, source)
        run = Project(project.folder, pypi).bootstrap(ACCELERATOR="cuda")
    assert run.returncode == 1 and "torchaudio" in run.stderr
    assert project.installed() == {}


def test_a_change_of_a_lock_is_installed(project: Project) -> None:
    """When a lock changes, the next start installs what it has now."""
    assert project.bootstrap().returncode == 0
    newer = wheel("torchaudio", "2.11.1")
    with index([TORCH, CARDS, newer]) as pypi:
        project.lock("worker", TORCH, TORCH_CPU, newer)
        assert Project(project.folder, pypi).bootstrap().returncode == 0
    assert project.installed()["torchaudio"] == "2.11.1"
    assert json.loads((project.folder / ".venv/requirements.json").read_text())["accelerator"] == "cuda"


@pytest.mark.parametrize("file", ["proc/driver/nvidia/gpus/0000:01:00.0/information", "usr/lib/wsl/lib/libcuda.so.1"])
def test_a_card_is_seen(tmp_path: Path, file: str) -> None:
    """The driver's folder of a card, or the library that Windows lends, means that there is one."""
    assert not bootstrap.has_nvidia_card(tmp_path)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("")
    assert bootstrap.has_nvidia_card(tmp_path)
