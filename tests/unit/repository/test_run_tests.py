"""What `make test` runs, and what it says before it begins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.run_tests import BY_THEMSELVES, FOLDERS
from tests.programs import namespaces, program

ROOT = Path(__file__).parents[3]
SMALL = 'mount -t tmpfs -o size=1m small "$0" && exec "$@"'


@pytest.mark.parametrize(("arguments", "status", "begins"), [((), 1, False), (("--version",), 0, True)])
def test_a_disk_that_is_too_small_is_named(
    tmp_path: Path, arguments: tuple[str, ...], status: int, begins: bool
) -> None:
    """All tests are refused with what they need, what there is and what helps; chosen ones begin after that line."""
    program("mount")
    done = subprocess.run(
        (*namespaces("--mount"), "sh", "-c", SMALL, tmp_path, sys.executable, "-m", "scripts.run_tests", *arguments),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status
    line = f"The tests need 10 GB of disk in {tmp_path}, where 0.0 GB are free. Set TMPDIR to a folder with more.\n"
    assert done.stderr.startswith(line)
    assert ("pytest" in done.stdout) is begins


def test_every_test_lies_in_one_folder_of_the_run() -> None:
    folders = FOLDERS + BY_THEMSELVES
    for file in ROOT.glob("tests/**/test_*.py"):
        name = file.relative_to(ROOT)
        assert [folder for folder in folders if name.is_relative_to(folder)] != [], name
    assert len([a for a in folders for b in folders if Path(a).is_relative_to(b)]) == len(folders), "one in another"
    assert [folder for folder in folders if not list((ROOT / folder).glob("**/test_*.py"))] == []
