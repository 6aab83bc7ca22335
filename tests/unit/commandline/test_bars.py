"""Lines of progress: their clock, their estimate, and their width."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cli.bars import Bar, Estimate, clock, drawn


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def bar(name: str, step: str, percent: float, elapsed_s: float = 65, rest_s: float | None = 130) -> Bar:
    result = Bar(name, step, percent, began=time.monotonic() - elapsed_s, estimate=Estimate(lambda: 0.0))
    result.estimate.step(step, percent, rest_s)
    return result


def is_gone(text: str) -> bool:
    """Whether it is what `bar` says has gone, and what a busy machine adds."""
    return len(text) == 4 and "1:05" <= text <= "1:59"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0:00"), (0.9, "0:00"), (65, "1:05"), (3600, "1:00:00"), (36_061, "10:01:01")]
)
def test_a_clock_reads_as_one(seconds: float, text: str) -> None:
    """Minutes and seconds, and hours where there are any."""
    assert clock(seconds) == text


def test_the_servers_estimate_counts_down() -> None:
    """What the server said goes down with the time. When it has run out it is forgotten; a later word replaces it."""
    watch = Watch()
    estimate = Estimate(watch)
    assert estimate.left_s() is None
    estimate.step("work", 10, 30)
    watch.now = 12
    assert estimate.left_s() == 18
    watch.now = 33
    assert estimate.left_s() == 0
    watch.now = 36
    assert estimate.left_s() is None
    estimate.step("work", 50, 20)
    assert estimate.left_s() == 20


def test_without_a_word_of_the_server_the_speed_tells() -> None:
    """Nothing is said at first; then the rest takes as long as its share did. A new step starts anew."""
    watch = Watch()
    estimate = Estimate(watch)
    estimate.step("uploading", 0, None)
    watch.now = 1
    estimate.step("uploading", 10, None)
    assert estimate.left_s() is None
    watch.now = 5
    estimate.step("uploading", 25, None)
    assert estimate.left_s() == 15
    watch.now = 8
    assert estimate.left_s() == 12
    estimate.step("on the server", 30, None)
    assert estimate.left_s() is None
    watch.now = 18
    estimate.step("on the server", 50, None)
    assert estimate.left_s() == pytest.approx(25)


def test_a_wide_line_has_everything() -> None:
    """Name, bar, percent, step, time gone and time left."""
    (line,) = drawn([bar("meeting.mp3", "transcribe 61 %", 42)], 100)
    words = line.plain.split()
    elapsed = words.pop(-3)
    assert (words[0], words[-6:]) == ("meeting.mp3", ["42%", "transcribe", "61", "%", "2:10", "left"])
    assert is_gone(elapsed)
    assert "━" in line.plain


def test_a_narrow_line_keeps_the_clocks() -> None:
    """First the bar goes, then the step, then the beginning of the name; percent and both clocks stay."""
    (line,) = drawn([bar("interviews/monday/a-very-long-name.mp3", "transcribe 61 %, diarize 48 %", 42)], 34)
    name, percent, elapsed, *rest = line.plain.split()
    assert (percent, rest) == ("42%", ["2:10", "left"]) and is_gone(elapsed)
    assert (line.plain[0], name[-4:]) == ("…", ".mp3")
    (line,) = drawn([bar("a.mp3", "transcribe 61 %", 42)], 38)
    assert "42% transcribe 6… " in line.plain
    (line,) = drawn([bar("a.mp3", "queued", 0, rest_s=None)], 20)
    percent, elapsed, *rest = line.plain.split()
    assert (percent, rest) == ("0%", ["-:--", "left"]) and is_gone(elapsed)


NAMES = st.text(st.characters(codec="utf-8") | st.sampled_from("中文ｱ\n\x1b\udc80"), max_size=60)


@given(
    st.lists(
        st.tuples(NAMES, NAMES, st.floats(0, 100), st.floats(0, 400_000), st.none() | st.floats(0, 400_000)), max_size=4
    ),
    st.integers(1, 200),
)
def test_no_line_is_wider_than_the_terminal(
    rows: list[tuple[str, str, float, float, float | None]], width: int
) -> None:
    """Whatever names and steps hold, each bar is one line that fits, and 30 columns are enough for the clocks."""
    lines = drawn([bar(*row) for row in rows], width)
    assert len(lines) == len(rows)
    for line in lines:
        assert cell_len(line.plain) <= max(width, 4)
        assert "\n" not in line.plain
        if width >= 30:
            assert line.plain.endswith(" left")
