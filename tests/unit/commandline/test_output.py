"""Tables on terminals of any width, and in pipes."""

from __future__ import annotations

import uuid

import pytest

from cli.commands.output import print_table

ID, NAME = str(uuid.uuid4()), "a long name " * 8
ROWS = [(ID, "done", None, NAME), (ID, "error: no_audio", "[3] s", "中文.mp3")]


@pytest.mark.parametrize("columns", [20, 60, 80, 400])
def test_a_terminal_gets_whole_ids(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the last column is broken; no id or status is, and nothing is left out."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    print_table(("task", "status", "length", "file"), ROWS, folds="file")
    output = capsys.readouterr().out
    assert output.count(ID) == 2
    assert "error: no_audio" in output
    assert "[3] s" in output
    assert output.count("long") == 8
    if columns == 400:
        assert len(output.splitlines()) == 3


def test_a_pipe_gets_a_line_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    """However long the row is, and no longer than its cells."""
    print_table(("task", "status", "length", "file"), ROWS, folds="file")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].rstrip().endswith(NAME.strip())
    assert max(map(len, lines)) < 200
