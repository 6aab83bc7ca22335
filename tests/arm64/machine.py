"""An emulated machine with an ARM64 processor: its disk, which is kept, and a run of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.bootstrap import fingerprint
from tests.arm64 import packages, system
from tests.arm64.trial import MARK
from tests.engine.checkout import ROOT, clone
from tests.engine.folder import WorkFolder, remove

PATIENCE = float(os.environ.get("ARM64_PATIENCE") or 1)
"""By how much all limits of time are longer: for a machine that has other work."""

LIMIT_S = 900 * PATIENCE
"""For the whole trial, the start of the kernel included."""

DISK_BYTES = 16 * 1024**3
"""Of each disk as the machine sees it: the doctor wants 10 GiB free for a large recording."""

MEMORY_MB, CORES, PROCESSOR = 6144, 2, "cortex-a76"
"""A Raspberry Pi 5 has four such cores and 2 to 16 GB."""

MODELS = ("diarization", "whisper/tiny.en", "manifest.json")
OPTIONAL_MODELS = ("speakers",)
PERSON = 1000


@dataclass
class Report:
    """What the trial said, by step, and all that came out of the machine."""

    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def facts(self, step: str) -> dict[str, Any]:
        """Of a step that went well. Raises AssertionError with what it or the machine said otherwise."""
        assert step in self.steps, "not reached; the machine's last lines:\n" + "\n".join(self.lines[-40:])
        assert "fault" not in self.steps[step], self.steps[step]["fault"]
        return dict(self.steps[step]["facts"])


def key() -> str:
    """What a disk is made of; the name of another one differs."""
    files = (Path(system.__file__), Path(packages.__file__), system.INIT)
    return "".join(file.read_text() for file in files) + fingerprint("local") + packages.torch()


def make(folder: Path) -> None:
    """A disk with Debian and Parley's packages, and the kernel and its first files beside it."""
    folder.mkdir()
    root = folder / "root"
    system.unpack(root)
    system.take_kernel(root, folder)
    packages.install(root / "opt/venv")
    packages.compile_files(root / f"usr/lib/python{packages.PYTHON}")
    system.make_disk(folder / "disk.img", root, DISK_BYTES)
    remove(root)


@contextmanager
def checkout(folder: WorkFolder) -> Iterator[Path]:
    """A disk with a clone of this checkout and the weights, which belong to an ordinary user; gone with the block."""
    with tempfile.TemporaryDirectory(prefix="arm64-", dir=folder.path) as scratch:
        copy = clone(Path(scratch) / "srv/parley")
        remove(copy / ".git")
        packages.compile_files(copy)
        (copy / ".venv").symlink_to("/opt/venv")
        models = Path(os.environ.get("MODEL_DIR", ROOT / "models"))
        for name in (*MODELS, *(name for name in OPTIONAL_MODELS if (models / name).is_dir())):
            (copy / "models" / name).parent.mkdir(parents=True, exist_ok=True)
            is_folder = (models / name).is_dir()
            (shutil.copytree if is_folder else shutil.copy2)(models / name, copy / "models" / name)
        for path in (copy, *copy.rglob("*")):
            os.chown(path, PERSON, PERSON, follow_symlinks=False)
        image = Path(scratch) / "checkout.img"
        system.make_disk(image, Path(scratch) / "srv", DISK_BYTES)
        remove(Path(scratch) / "srv")
        yield image


def boot(disk: Path, image: Path, say: Callable[[str], None]) -> Report:
    """Run the machine until it switches itself off, or LIMIT_S; `say` gets a line for each step as it ends."""
    report, began = Report(), time.monotonic()
    machine = subprocess.Popen(
        (
            "setpriv", "--pdeathsig", "KILL", "qemu-system-aarch64", "-M", "virt", "-cpu", PROCESSOR,
            "-accel", "tcg,thread=multi,tb-size=1024", "-smp", str(CORES), "-m", str(MEMORY_MB), "-nographic",
            "-nic", "none", "-no-reboot", "-kernel", str(disk / "vmlinuz"), "-initrd", str(disk / "initrd.img"),
            "-append", f"console=ttyAMA0 loglevel=3 panic=-1 parley.now={int(time.time())} parley.patience={PATIENCE}",
            "-drive", f"file={disk / 'disk.img'},format=raw,if=virtio,cache=unsafe,snapshot=on",
            "-drive", f"file={image},format=raw,if=virtio,cache=unsafe",
        ),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env={"PATH": os.environ["PATH"], "TMPDIR": str(image.parent)},
    )  # fmt: skip
    assert machine.stdout is not None
    end = threading.Timer(LIMIT_S, machine.kill)
    end.start()
    try:
        for line in machine.stdout:
            report.lines.append(line.rstrip())
            _, mark, text = line.partition(MARK)
            if mark:
                step = json.loads(text)
                report.steps[step["step"]] = step
                outcome = json.dumps(step["facts"]) if "facts" in step else f"FAILED\n{step['fault'][-1000:]}"
                say(f"{time.monotonic() - began:4.0f} s  {step['step']} in {step['took_s']} s: {outcome}")
    finally:
        end.cancel()
        machine.kill()
        machine.wait()
    say(f"{time.monotonic() - began:4.0f} s  the machine is off")
    return report
