"""`python3 scripts/bootstrap.py SET`: the virtual environment .venv with requirements/SET.txt, made when it is missing.

Runs on a bare Python, before anything is installed. When nothing changed it costs a few milliseconds: a stamp inside
.venv holds the hash of the requirement files that were installed last.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "requirements.json"
OLDEST = (3, 11)
NEWS_EVERY_S = 15  # without a terminal: one line this often shows that it goes on


def main() -> None:
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"Parley needs Python 3.11 or newer, {sys.executable} is {found}: make PYTHON=/path/to/python3.11 ...")
    wanted = sys.argv[1]
    stamps = read_stamps()
    if stamps.get(wanted) == fingerprint(wanted):
        return
    if not PYTHON.exists() or not has_pip():
        make_environment()
        stamps = {}
    install(wanted)
    stamps.update({name: fingerprint(name) for name in included(wanted) if name.isalpha()})
    STAMP.write_text(json.dumps(stamps, indent=2) + "\n")


def read_stamps() -> dict[str, str]:
    """Fingerprint of every set that is installed, by the set's name."""
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


def fingerprint(name: str) -> str:
    """Hash of a set's files."""
    digest = hashlib.sha256()
    for part in included(name):
        digest.update((ROOT / "requirements" / f"{part}.txt").read_bytes())
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
        (sys.executable, "-m", "pip", "install", "--quiet", "--target", site_packages(), "pip"),
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(VENV, ignore_errors=True)
            sys.exit(
                f"No virtual environment could be made:\n{done.stdout}{done.stderr}\n"
                "On Debian and Ubuntu: apt install python3-venv python3-pip"
            )


def site_packages() -> Path:
    return VENV / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"


def install(wanted: str) -> None:
    """pip, with its chatter cut down to one moving line (or a line now and then where there is no terminal)."""
    print(f"Installing requirements/{wanted}.txt; the first time this downloads more than 1 GB", flush=True)
    arguments = ("install", "--disable-pip-version-check", "--no-input", "-r", f"requirements/{wanted}.txt")
    pip = subprocess.Popen(
        (PYTHON, "-m", "pip", *arguments),
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert pip.stdout is not None
    said, news_at, begun = [], time.monotonic() + NEWS_EVERY_S, time.monotonic()
    for line in pip.stdout:
        said.append(line)
        text = line.strip()
        if text.startswith(("Requirement already", "Looking in", "WARNING")):
            continue
        if sys.stdout.isatty():
            print(f"\r\033[K  {text[: shutil.get_terminal_size().columns - 3]}", end="", flush=True)
        elif time.monotonic() >= news_at or text.startswith("Installing"):
            print(f"  {time.monotonic() - begun:4.0f} s  {text[:110]}", flush=True)
            news_at = time.monotonic() + NEWS_EVERY_S
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    if pip.wait() != 0:
        sys.exit("".join(said[-30:]) + f"\npip could not install requirements/{wanted}.txt")
    print(f"  installed in {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    os.umask(0o022)
    main()
