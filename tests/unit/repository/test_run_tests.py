"""What `make test` runs, and what it says before it begins."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest

from scripts.local.home import PORT_SHARE, Home
from scripts.run_tests import BY_THEMSELVES, FOLDERS, run_lane
from tests.programs import namespaces, program

ROOT = Path(__file__).parents[3]
SMALL = 'mount -t tmpfs -o size=1m small "$0" && exec "$@"'


@pytest.mark.parametrize(("arguments", "status", "begins"), [((), 1, False), (("--version",), 0, True)])
def test_a_disk_that_is_too_small_is_named(
    tmp_path: Path, arguments: tuple[str, ...], status: int, begins: bool
) -> None:
    """All tests are refused with what they need, what there is and what helps; chosen ones begin after that line."""
    program("mount")
    process = subprocess.run(
        (*namespaces("--mount"), "sh", "-c", SMALL, tmp_path, sys.executable, "-m", "scripts.run_tests", *arguments),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == status
    line = f"The tests need 10 GB of disk in {tmp_path}, where 0.0 GB are free. Set TMPDIR to a folder with more.\n"
    assert process.stderr.startswith(line)
    assert ("pytest" in process.stdout) is begins


def test_every_test_lies_in_one_folder_of_the_run() -> None:
    folders = FOLDERS + BY_THEMSELVES
    for file in ROOT.glob("tests/**/test_*.py"):
        name = file.relative_to(ROOT)
        assert [folder for folder in folders if name.is_relative_to(folder)] != [], name
    assert len([a for a in folders for b in folders if Path(a).is_relative_to(b)]) == len(folders), "one in another"
    assert [folder for folder in folders if not list((ROOT / folder).glob("**/test_*.py"))] == []


def test_lanes_share_no_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stacks of each of three lanes choose from ports that no other lane's choose."""
    lanes = []
    for number in range(3):
        monkeypatch.setenv(PORT_SHARE, f"{number}/3")
        home = Home(tmp_path / str(number))
        home.path.mkdir()
        lanes.append({port % 3 for port in home.ports([str(name) for name in range(30)]).values()})
    assert [len(lane) for lane in lanes] == [1, 1, 1]
    assert len(set.union(*lanes)) == 3


def test_a_lane_tells_its_tests_their_ports(tmp_path: Path) -> None:
    check = f"import os\n\ndef test_share():\n    assert os.environ[{PORT_SHARE!r}] == '1/3'\n"
    (tmp_path / "test_share.py").write_text(check)
    ((_, status, _),) = run_lane(folders := deque([str(tmp_path)]), folders.popleft, "1/3")
    assert status == 0
