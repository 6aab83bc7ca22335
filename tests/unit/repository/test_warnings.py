"""The table of warnings in docs/formats.md, held against the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_warning_is_documented_and_no_other() -> None:
    calls = (
        node
        for folder in ("tasks", "shared", "api")
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Caveat" and node.args
    )
    codes = {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
    section = (ROOT / "docs" / "formats.md").read_text().partition("### Warnings")[2].partition("###")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == codes
