"""docs/glossary.md draws the state machines as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from shared.states import JOB_MOVES, STAGE_MOVES, JobState, StageState

TEXT = (Path(__file__).parents[3] / "docs/glossary.md").read_text()


@pytest.mark.parametrize(("heading", "moves"), [("The life of a job", JOB_MOVES), ("The life of a stage", STAGE_MOVES)])
def test_the_diagram_has_every_move(heading: str, moves: Mapping[JobState, frozenset[JobState]]) -> None:
    """Each arrow between two states is a move, and each move is an arrow."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)", section, re.M))
    assert drawn == {(str(state), str(after)) for state, afters in moves.items() for after in afters}


def test_every_state_is_reached() -> None:
    """A state that no arrow leads to would have been forgotten."""
    reached = set(re.findall(r"--> (\w+)", TEXT))
    assert reached == {str(state) for state in (*JobState, *StageState)}
