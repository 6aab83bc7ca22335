"""Check the page from its source on: packages, types of the API, components, unit tests, and what is committed.

python -m scripts.page.check        # `make page-check`; status 1 and what to do where something differs
"""

from __future__ import annotations

import filecmp
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
WEB = ROOT / "web"
BUILT = ROOT / "api/pages/workspace"
TYPES = WEB / "src/api/schema.d.ts"


class Stale(Exception):
    """Something that is committed is not what its source makes."""


def npm() -> str:
    """The program. Raises FileNotFoundError."""
    program = shutil.which("npm")
    if program is None:
        raise FileNotFoundError("npm is missing: apt install nodejs npm")
    return program


def install() -> None:
    """The locked packages, unless they are there."""
    lock, mark = WEB / "package-lock.json", WEB / "node_modules/.parley-lock"
    if mark.exists() and mark.read_bytes() == lock.read_bytes():
        return
    _run("ci", "--loglevel=error")
    mark.write_bytes(lock.read_bytes())


def check_types(folder: Path) -> None:
    """Raises Stale when the page's types are not those of the API."""
    document, schema = folder / "openapi.json", folder / "schema.d.ts"
    with document.open("wb") as file:
        subprocess.run((sys.executable, "-m", "scripts.page.types"), cwd=ROOT, stdout=file, check=True)
    json.loads(document.read_text())
    _run("run", "--silent", "types", "--", str(document), "--output", str(schema))
    if schema.read_text() != TYPES.read_text():
        raise Stale(f"{TYPES.relative_to(ROOT)} is older than the API: make page-types, then commit it")


def check_sources() -> None:
    """Types of the components, and their unit tests. Raises CalledProcessError."""
    _run("run", "--silent", "check")
    _run("test", "--silent")


def check_built(folder: Path) -> None:
    """Raises Stale when what is committed is not what the sources make."""
    _run("run", "--silent", "build", "--", "--outDir", str(folder), "--emptyOutDir", "--logLevel", "error")
    built, committed = ({path.relative_to(one) for path in one.rglob("*") if path.is_file()} for one in (folder, BUILT))
    _, different, strange = filecmp.cmpfiles(folder, BUILT, [str(path) for path in built | committed], shallow=False)
    if different or strange:
        raise Stale(f"not what web/ makes: {sorted(different + strange)}; npm --prefix web run build, then commit it")


def main() -> int:
    """0 when all is as it should be."""
    install()
    check_sources()
    try:
        with tempfile.TemporaryDirectory() as folder:
            check_types(Path(folder))
        with tempfile.TemporaryDirectory() as folder:
            check_built(Path(folder))
    except Stale as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(*arguments: str) -> None:
    subprocess.run((npm(), *arguments), cwd=WEB, check=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
