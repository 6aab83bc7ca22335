"""`python -m scripts.bench.card`: which paths over an NVIDIA card work here, how fast, and in how much memory.

It needs a card, the packages, and three sets of weights: Whisper tiny.en, pyannote's segmentation and the embedding. It
asks no network and ends within eight minutes. Each check is a process of its own, so that what fails takes nothing
along, and fails with its reason. Without a card it says what it would do.

    python -m scripts.bench.card                         # with the weights of MODEL_DIR
    python -m scripts.bench.card --pack FOLDER           # write weights of at most 60 MB, to be taken to such a machine
    python -m scripts.bench.card --models FOLDER         # there
    python -m scripts.bench.card --device cpu            # try the bench itself, as far as a CPU can
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from scripts.bench.card.checks import CHECKS, CPU_CHECKS, Check
from scripts.bench.card.probes import Finding

LIMIT_S = 470.0
"""Of all checks together: eight minutes less the start of Python."""

ROOT = Path(__file__).resolve().parents[3]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = Path(os.environ.get("MODEL_DIR", "models"))
    parser.add_argument("--models", type=Path, default=models, help="folder of the weights (default %(default)s)")
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="write small weights there, and do nothing else")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="(default %(default)s)")
    options = parser.parse_args()
    if options.pack:
        from scripts.bench.card.weights import pack

        size = pack(options.models, options.pack)
        print(f"{options.pack}: {size / 1e6:.1f} MB")
        return 0
    if options.device == "cuda" and (absent := why_no_card()):
        describe(absent)
        return 0
    return run(CHECKS if options.device == "cuda" else CPU_CHECKS, options.device, options.models.absolute())


def why_no_card() -> str:
    """The reason why there is no card to use; empty where there is one."""
    if find_spec("pynvml") is None:
        return "nvidia-ml-py is not installed"
    import pynvml  # type: ignore[import-untyped]

    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        return f"NVML finds no driver ({error})"
    return "" if count else "NVML lists no card"


def describe(reason: str) -> None:
    """What would happen with a card."""
    print(f"There is no NVIDIA card to try: {reason}. With one, each in a process of its own:\n")
    for check in CHECKS:
        print(f"  {check.title:<30} {check.what} ({check.limit_s:g} s at most)")
    print("\n--device cpu tries the bench itself, as far as a CPU can.")


def run(checks: tuple[Check, ...], device: str, models: Path) -> int:
    """All of them, a row each as soon as it is there; the number of those that failed."""
    end, failed = time.monotonic() + LIMIT_S, 0
    versions = [f"{name} {version(name)}" for name in ("ctranslate2", "faster-whisper", "torch", "pyannote.audio")]
    print(f"{time.strftime('%Y-%m-%d')}, {device}, {', '.join(versions)}, Python {sys.version.split()[0]}\n")
    print(f"{'check':<30}{'audio s/s':>10}{'MB':>8}  result")
    for check in checks:
        began = time.monotonic()
        if began >= end:
            print(f"{check.title:<30}{'':>18}  not run: {LIMIT_S:g} s are over", flush=True)
            failed += 1
            continue
        finding, reason = outcome(check, device, models, min(check.limit_s, end - began))
        failed += bool(reason)
        rate = f"{finding.rate:.1f}" if finding.rate else ""
        memory = f"{finding.memory_mb:.0f}" if finding.memory_mb else ""
        result = f"FAILED: {reason}" if reason else f"works; {finding.note}"
        print(f"{check.title:<30}{rate:>10}{memory:>8}  {result} ({time.monotonic() - began:.0f} s)", flush=True)
    return failed


def outcome(check: Check, device: str, models: Path, limit_s: float) -> tuple[Finding, str]:
    """What a check has found, and why it failed, if it did."""
    line = (sys.executable, "-m", "scripts.bench.card.probes", check.name, device, str(models), *check.arguments)
    process = subprocess.Popen(
        line, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, errors = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)  # with whatever it has started
        process.communicate()
        return Finding(), f"not done within {limit_s:.0f} s"
    if process.returncode == 0:
        return Finding(**json.loads(out.splitlines()[-1])), ""
    messages = [text for text in errors.splitlines() if text.strip()]
    return Finding(), messages[-1].strip() if messages else f"exit status {process.returncode}"


def environment() -> dict[str, str]:
    """No network; CUDA's libraries as packages bring them, where CTranslate2 looks for none itself."""
    libraries = [str(path) for folder in nvidia_folders() for path in sorted(folder.glob("*/lib"))]
    present = os.environ.get("LD_LIBRARY_PATH")
    joined = os.pathsep.join([*([present] if present else []), *libraries])
    paths = {"LD_LIBRARY_PATH": joined} if joined else {}
    return os.environ | {"HF_HUB_OFFLINE": "1"} | paths


def nvidia_folders() -> list[Path]:
    spec = find_spec("nvidia")
    return [Path(place) for place in spec.submodule_search_locations or ()] if spec else []


if __name__ == "__main__":
    sys.exit(main())
