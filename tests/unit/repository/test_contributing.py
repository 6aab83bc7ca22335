"""CONTRIBUTING.md says of imports and folders what is true of them."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
MAX_FILES = 15


def test_the_layers_are_those_that_are_checked() -> None:
    """The table of layers is the contracts', line by line."""
    block = re.search(r"^```\n(api .*?)^```", TEXT, re.M | re.S)
    assert block
    table: dict[str, list[str]] = {}
    for line in filter(None, block[1].splitlines()):
        package, layer = line[:9].strip(), line[9:]
        table.setdefault(package or list(table)[-1], []).append(layer)
    assert table == {each["containers"][0]: each["layers"] for each in CONTRACTS if each["type"] == "layers"}


def test_what_a_stage_imports_is_what_is_checked() -> None:
    """The sentence on stages names what its contract allows."""
    (contract,) = (each for each in CONTRACTS if each["type"] == "only")
    sentence = re.search(r"`tasks\.stages` and `tasks\.asr` import (.*?) and nothing else", TEXT, re.S)
    assert sentence
    assert re.findall(r"`([\w.]+)`", sentence[1]) == contract["allowed_modules"]


def test_no_folder_is_larger_than_it_says() -> None:
    """A folder of our own code holds at most 15 files, beside its `__init__.py`."""
    assert f"at most {MAX_FILES} files" in TEXT
    names = subprocess.run(
        ("git", "-c", f"safe.directory={ROOT}", "ls-files", "api", "tasks", "shared", "scripts", "cli", "tests"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    files = Counter(str(Path(name).parent) for name in names if not name.endswith("__init__.py"))
    assert {folder: count for folder, count in files.items() if count > MAX_FILES} == {}
