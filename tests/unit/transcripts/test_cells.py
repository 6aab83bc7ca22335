"""Tables for people with a spreadsheet and programs with a parser: nothing is computed, no word is lost."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.transcripts.cells import guarded, unguarded
from api.transcripts.formats import render
from api.transcripts.line_breaks import clean
from shared.transcript import Segment
from tests.unit.transcripts.spoken import hostile, transcript_of

ROOT = Path(__file__).parents[3]
SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"
formulas = st.builds(
    lambda before, sign, rest: before + sign + rest,
    st.text(st.sampled_from(" '\t\u00a0\u200b\ufeff\""), max_size=3),
    st.sampled_from(SIGNS),
    hostile,
)
cells = (
    hostile | formulas | st.sampled_from(["", "'", "''", "'=1", "''=1", '"=1+1"', '"', "'Tis", "-", "- yes", "+49 30"])
)


def computed(cell: str) -> bool:
    """Whether a spreadsheet may take the cell for a formula: it may strip space and what has no width first."""
    return cell.lstrip(" \u00a0\u200b\ufeff")[:1] in {*SIGNS, "\t", "\r", "\n"} - {""}


@given(cells)
def test_a_guarded_cell_is_no_formula_and_is_read_back(text: str) -> None:
    """Nothing that begins like a formula stays so, and every text comes back as it was."""
    assert not computed(guarded(text))
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["Hello.", "'Tis so.", "1 + 1 = 2", "a@b", "", "e-mail", '"quoted"'])
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Only what begins like a formula is changed."""
    assert guarded(text) == text


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=8))
def test_tsv_is_read_back_exactly(talk: list[tuple[str, str]]) -> None:
    """Through Python's csv, in its strict mode and by the documents' own lines, each row has its text and its speaker;
    as a spreadsheet splits and unquotes it, no cell is a formula."""
    spoken = transcript_of(*(Segment(n, n, n + 1, text, 0.5, name) for n, (text, name) in enumerate(talk)))
    rendered = render(spoken, "tsv")
    rows = list(csv.reader(io.StringIO(rendered, newline=""), delimiter="\t", strict=True))
    assert [[unguarded(cell) for cell in row[2:]] for row in rows[1:]] == [[clean(t), clean(n)] for t, n in talk]
    assert {len(row) for row in rows} == {4}
    assert not [cell for row in rows for cell in row if computed(cell)]
    assert rendered.count("\n") == len(talk) + 1


def test_the_documents_lines_read_a_table_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program in docs/formats.md, run as it stands, gives the texts and the names exactly."""
    talk = [("=1+1", "@Eva"), ('"=2"', "''-x"), ("\uff1d3", "'Tis"), ("plain", 'a"b')]
    spoken = transcript_of(*(Segment(n, n, n + 1, text, 0.5, name) for n, (text, name) in enumerate(talk)))
    (tmp_path / "call.tsv").write_text(render(spoken, "tsv"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(import csv, re\n.*?)```", (ROOT / "docs/formats.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(program, names)
    rows = names["rows"]
    assert isinstance(rows, list)
    assert [tuple(row[2:]) for row in rows[1:]] == talk
