"""`python -m tests.clients.lock`: write packages/python.txt from packages/python.in, every package with its hashes.

The clients run on top of the packages of the `dev` locks, so the lock has only what they need besides, or at another
version. packages/package-lock.json is written by `npm install --package-lock-only` in its folder.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.bootstrap import included
from scripts.supply.lock import LOCKS, PYTHONS, parse

PACKAGES = Path(__file__).parent / "packages"
INPUT = PACKAGES / "python.in"
LOCK = PACKAGES / "python.txt"
COMMAND = "python -m tests.clients.lock"


def main() -> None:
    """Raises SystemExit with uv's message where it finds no solution."""
    locks = [(LOCKS / f"{name}.txt").read_text() for name in included("dev") if (LOCKS / f"{name}.txt").exists()]
    present = {(entry.name, entry.version) for text in locks for entry in parse(text)}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "lock.txt"
        # uv prefers the versions that it finds in its output
        output.write_text("".join(f"{name}=={version}\n" for name, version in sorted(present)))
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
        command += ["--python-version", PYTHONS[0], "--only-binary", ":all:", "--generate-hashes", "--no-header"]
        command += ["--no-annotate", "--output-file", str(output), str(INPUT)]
        uv = subprocess.run(command, capture_output=True, text=True, check=False)
        if uv.returncode != 0:
            sys.exit(f"uv could not resolve {INPUT.name}:\n{uv.stderr}")
        needed = [entry for entry in parse(output.read_text()) if (entry.name, entry.version) not in present]
    header = f"# Made by `{COMMAND}` from python.in, on top of requirements/locks/dev.txt. Do not edit.\n"
    LOCK.write_text(header + "".join(entry.text() + "\n" for entry in needed))


if __name__ == "__main__":
    main()
