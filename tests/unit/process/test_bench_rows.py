"""How benches take turns, keep to their time, and judge."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from scripts.bench import cpu
from scripts.bench.ratios import Deadline, Goal, TimeOver, ratios, rounds, row, time_limit
from scripts.weights.fixtures import default_model_dir


@pytest.mark.parametrize(
    ("values", "at_most", "at_least"),
    [
        ([0.8, 0.9], "met", "MISSED"),
        ([1.1, 1.2], "MISSED", "met"),
        ([0.9, 1.1], "no verdict", "no verdict"),
        ([1.0, 1.0], "met", "met"),
        ([], "not run", "not run"),
    ],
)
def test_there_is_no_verdict_where_pairs_lie_on_both_sides(values: list[float], at_most: str, at_least: str) -> None:
    """Met and missed are said only where all pairs agree."""
    assert Goal(1.0).verdict(values) == at_most
    assert Goal(1.0, is_floor=True).verdict(values) == at_least


def test_sides_take_turns() -> None:
    """After a warm-up of each, every other round is the other way round, and pairs stay pairs."""
    turns: list[str] = []

    def side(name: str) -> Callable[[], float]:
        return lambda: turns.append(name) or float(len(turns))  # type: ignore[func-returns-value]

    measured = rounds({"a": side("a"), "b": side("b")}, 3, Deadline(time.monotonic() + 60))
    assert "".join(turns) == "ab" + "ab" + "ba" + "ab"
    assert measured == {"a": [3.0, 6.0, 7.0], "b": [4.0, 5.0, 8.0]}
    assert ratios(measured["a"], measured["b"]) == [3 / 4, 7 / 8, 6 / 5]


def test_no_round_begins_that_would_not_end_in_time() -> None:
    """What was measured until then is told with the number of its pairs; a row without any says so."""

    class Told(Deadline):
        """Says how much time was asked for, and that there is so much twice."""

        def has(self, seconds: float) -> bool:
            requests.append(seconds)
            return len(requests) <= 2

    requests: list[float] = []
    measured = rounds({"a": lambda: time.sleep(0.2) or 1.0}, 100, Told(0))  # type: ignore[func-returns-value]
    assert len(measured["a"]) == 2
    assert requests[0] == 0 and 0.2 <= requests[1] <= requests[2]  # as the longest round so far
    assert Deadline(time.monotonic() + 60).has(1) and not Deadline(time.monotonic() + 60).has(120)
    assert not Deadline(time.monotonic() - 1).has(0)
    assert "2 pairs" in row("a", [1.0, 1.0])
    assert row("a", []).endswith("not run")


def test_a_bench_ends_at_its_limit() -> None:
    """Whatever it waits for."""
    began = time.monotonic()
    with pytest.raises(TimeOver), time_limit(0.1):
        time.sleep(30)
    assert time.monotonic() - began < 10


def test_what_there_is_no_time_for_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of a processor has a row for each model and number of threads, whether it was run or not."""
    monkeypatch.setattr("sys.argv", ["cpu", "--limit", "0", "--models", str(default_model_dir())])
    expected = cpu.rows(default_model_dir())
    assert cpu.main() == len(expected) > 4
    assert capsys.readouterr().out.count("not run: the time is over") == len(expected)
