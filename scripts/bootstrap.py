"""`python3 scripts/bootstrap.py SET`: the virtual environment .venv with requirements/locks/SET.txt, made if missing.

Runs on a bare Python, before anything is installed. When nothing changed it costs a few milliseconds: a stamp inside
.venv holds the hash of the locks that were installed last. Every package is installed by its hash.

ACCELERATOR=cpu or cuda in the environment chooses the build of torch. Without it a machine with an NVIDIA card gets
PyPI's, any other the one for CPUs if pip's own sources or TORCH_CPU_INDEX have it, else PyPI's too. On x86-64 and on
ARM64 alike, PyPI's is the build for NVIDIA cards.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements" / "locks"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "requirements.json"
OLDEST = (3, 11)
IS_64_BIT = sys.maxsize > 2**32
NEWS_EVERY_S = 15  # without a terminal: one line this often shows that it goes on
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
INDEX_ANSWER_S = 3.0
"""How long PyTorch's index may take to begin its answer."""
INDEX_PAGE_S = 30.0
"""How long its page may take once it has begun: a few hundred kB."""
ACCELERATORS = {"cpu": "CPUs", "cuda": "NVIDIA cards"}
DOWNLOAD_GB = {
    "x86_64": {("local", "cpu"): 0.6, ("local", "cuda"): 3.1, ("dev", "cpu"): 0.8, ("dev", "cuda"): 3.3},
    "aarch64": {("local", "cpu"): 0.5, ("local", "cuda"): 3.2, ("dev", "cpu"): 0.7, ("dev", "cuda"): 3.4},
}
"""By processor, the wheels of a set for CPython 3.11; scripts/supply/platforms.py has them to the megabyte."""

OLDEST_GLIBC = (2, 28)
"""What torch's wheels need: Debian 10, Ubuntu 20.04."""


def main() -> None:
    if reason := unsupported():
        sys.exit(reason)
    if sys.version_info < OLDEST:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"Parley needs Python 3.11 or newer, {sys.executable} is {version}: make PYTHON=/path/to/python3.11 ..."
        )
    name = sys.argv[1]
    request = accelerator_request()
    if is_installed(name, request):
        return
    import fcntl  # Windows has none, and was told so

    with (ROOT / ".venv.lock").open("w") as file:  # beside .venv, which may be removed and made again
        fcntl.flock(file, fcntl.LOCK_EX)
        if not is_installed(name, request):  # now, after another process has perhaps done it
            bring_up_to_date(name, request)


def unsupported() -> str:
    """Why Parley's packages cannot be installed here, and what to do; empty where they can."""
    machine, system = platform.machine(), platform.system()
    fault, advice = f"this is {system} on {machine}", "With Docker it runs on macOS and Windows too: docs/deploy.md."
    if system == "Linux" and machine.startswith(("arm", "aarch64")) and (machine != "aarch64" or not IS_64_BIT):
        fault, advice = f"this is a 32-bit system on {machine}", "On a Raspberry Pi: install Raspberry Pi OS (64-bit)."
    elif system == "Linux" and machine in DOWNLOAD_GB and IS_64_BIT:
        if (version := glibc()) >= OLDEST_GLIBC:
            return ""
        fault = f"the C library here is {'glibc ' + '.'.join(map(str, version)) if version else 'another one'}"
    return f"Parley needs Linux on x86-64 or ARM64, of 64 bits and with glibc 2.28 or newer; {fault}.\n{advice}"


def glibc() -> tuple[int, ...]:
    """Version of the C library; empty where it is another one, as in Alpine."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):
        return ()
    return tuple(map(int, version.split(".")[:2])) if name == "glibc" else ()


def is_installed(name: str, request: str | None) -> bool:
    stamps = read_stamps()
    return stamps.get(name) == fingerprint(name) and request in (None, stamps.get("accelerator"))


def bring_up_to_date(name: str, request: str | None) -> None:
    stamps = read_stamps()
    if not PYTHON.exists() or not has_pip():
        make_environment()
        stamps = {}
    sources = torch_sources(request or "") if "worker" in included(name) else {}
    install(name, sources)
    stamps.update({each: fingerprint(each) for each in included(name) if lock(each).exists()} | sources)
    STAMP.write_text(json.dumps(stamps, indent=2) + "\n")


def accelerator_request() -> str | None:
    """The build of torch that the environment names or the machine's card needs; None if any will do."""
    request = os.environ.get("ACCELERATOR", "")
    if request and request not in ACCELERATORS:
        sys.exit(f"ACCELERATOR is {' or '.join(ACCELERATORS)}, not {request}")
    return request or ("cuda" if has_nvidia_card() else None)


def has_nvidia_card(root: Path = Path("/")) -> bool:
    """Whether the driver shows a card, on Linux or on Windows' Subsystem for Linux."""
    return any(root.glob("proc/driver/nvidia/gpus/*")) or (root / "usr/lib/wsl/lib/libcuda.so.1").exists()


def torch_sources(request: str) -> dict[str, str]:
    """Which build of torch to install, and `index`, PyTorch's own, where only that has it.

    The build for CPUs spares a download of 2.5 GB. Raises SystemExit where ACCELERATOR=cpu and nobody has it.
    """
    if request == "cuda":
        return {"accelerator": "cuda"}
    version = cpu_version()
    command = (PYTHON, "-m", "pip", "index", "versions", "torch", "--disable-pip-version-check", "--no-input")
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    if version in listing.replace(",", " ").split():
        return {"accelerator": "cpu"}
    index = os.environ.get("TORCH_CPU_INDEX", TORCH_CPU_INDEX)
    if version.replace("+", "%2B") in (page := index_page(f"{index}/torch/")) or version in page:
        return {"accelerator": "cpu", "index": index}
    if request == "cpu":
        sys.exit(
            f"ACCELERATOR=cpu: pip's sources have no torch {version}, nor has {index} within {INDEX_ANSWER_S:.0f} s"
        )
    sizes = DOWNLOAD_GB[platform.machine()]
    more = sizes["local", "cuda"] - sizes["local", "cpu"]
    print(
        f"Neither pip's sources nor {index} has torch {version}. The build for NVIDIA cards, which runs on CPUs too, "
        f"comes instead: {more:.1f} GB more to download, and 5 GB on the disk in place of 2.3. "
        "A mirror named by TORCH_CPU_INDEX spares that.",
        flush=True,
    )
    return {"accelerator": "cuda"}


def cpu_version() -> str:
    """The version of torch for CPUs, as 2.13.0+cpu."""
    return (ROOT / "requirements" / "torch-cpu.txt").read_text().split("==")[1].strip()


def index_page(url: str) -> str:
    """A page of a package index; empty if its answer does not begin within INDEX_ANSWER_S."""
    start, complete, parts = threading.Event(), threading.Event(), [b""]

    def read() -> None:
        try:
            with urllib.request.urlopen(url, timeout=INDEX_ANSWER_S) as answer:  # noqa: S310 - the owner's own setting
                start.set()
                parts.append(answer.read())
        except (OSError, ValueError):
            start.set()
        complete.set()

    # A thread, for urlopen's own limit starts again with every byte that arrives.
    threading.Thread(target=read, daemon=True).start()
    if start.wait(INDEX_ANSWER_S):
        complete.wait(INDEX_PAGE_S)
    return parts[-1].decode(errors="replace")


def read_stamps() -> dict[str, str]:
    """Fingerprint of every set that is installed, by the set's name, and the build of torch."""
    try:
        stamps: dict[str, str] = json.loads(STAMP.read_text()) if PYTHON.exists() else {}
    except (OSError, ValueError):
        return {}
    return stamps


def included(name: str) -> list[str]:
    """This set and those that its file pulls in with -r or -c, in the order of their reading."""
    names = [name]
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        if line.startswith(("-r ", "-c ")):
            names += [other for other in included(line[3:].strip().removesuffix(".txt")) if other not in names]
    return names


def lock(name: str) -> Path:
    return LOCKS / f"{name}.txt"


def fingerprint(name: str) -> str:
    """Hash of a set's locks."""
    digest = hashlib.sha256()
    for part in (*included(name), *(f"torch-{accelerator}" for accelerator in ACCELERATORS)):
        if lock(part).exists():
            digest.update(lock(part).read_bytes())
    return digest.hexdigest()


def has_pip() -> bool:
    return subprocess.run((PYTHON, "-m", "pip", "--version"), capture_output=True, check=False).returncode == 0


def make_environment() -> None:
    """A new .venv with pip in it, also where the distribution keeps `ensurepip` in a package of its own."""
    print(f"Making {VENV.relative_to(ROOT)} with Python {sysconfig.get_python_version()}", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.run((sys.executable, "-m", "venv", VENV), capture_output=True, check=False).returncode == 0:
        return
    steps = (
        (sys.executable, "-m", "venv", "--clear", "--without-pip", VENV),
        (
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--target",
            site_packages(),
            "-r",
            lock("pip"),
        ),
    )
    for step in steps:
        result = subprocess.run(step, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            shutil.rmtree(VENV, ignore_errors=True)
            sys.exit(
                f"No virtual environment could be made:\n{result.stdout}{result.stderr}\n"
                "On Debian and Ubuntu: apt install python3-venv python3-pip"
            )


def site_packages() -> Path:
    return VENV / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"


def install(name: str, sources: dict[str, str]) -> None:
    """pip, with its chatter cut down to one moving line (or a line now and then where there is no terminal)."""
    accelerator = sources.get("accelerator", "")
    build = f" for {ACCELERATORS[accelerator]}" if accelerator else ""
    size = DOWNLOAD_GB[platform.machine()].get((name, accelerator))
    news = f"; the first time this downloads about {size} GB" if size else ""
    print(f"Installing requirements/{name}.txt{build}{news}", flush=True)
    # Wheels only: what pip builds, it builds with packages that no lock names.
    arguments = ["install", "--disable-pip-version-check", "--no-input", "--require-hashes", "--only-binary=:all:"]
    arguments += ["-r", str(lock(name))]
    if accelerator:
        arguments += ["-r", str(lock(f"torch-{accelerator}"))]
    if "index" in sources:
        arguments += ["--extra-index-url", sources["index"]]
    pip = subprocess.Popen(
        (PYTHON, "-m", "pip", *arguments),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert pip.stdout is not None
    lines, news_at, start = [], time.monotonic() + NEWS_EVERY_S, time.monotonic()
    for line in pip.stdout:
        lines.append(line)
        text = line.strip()
        if text.startswith(("Requirement already", "Looking in", "WARNING")):
            continue
        if sys.stdout.isatty():
            print(f"\r\033[K  {text[: shutil.get_terminal_size().columns - 3]}", end="", flush=True)
        elif time.monotonic() >= news_at or text.startswith("Installing"):
            print(f"  {time.monotonic() - start:4.0f} s  {text[:110]}", flush=True)
            news_at = time.monotonic() + NEWS_EVERY_S
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    if pip.wait() != 0:
        output = "".join(lines[-30:])
        sys.exit(f"{output}\n{hint(output)}pip could not install requirements/{name}.txt")
    print(f"  installed in {time.monotonic() - start:.0f} s", flush=True)


def hint(output: str) -> str:
    """What pip's complaint about a hash means, in a line."""
    if "HASH" not in output.upper():
        return ""
    return (
        "Nothing was installed: a source of packages has a file that is not in requirements/locks. "
        "docs/decisions/locks.md tells how a new hash gets in.\n"
    )


if __name__ == "__main__":
    os.umask(0o022)
    main()
