"""Limits of subtitles that a reader chooses, and those of broadcasters: what they do, and what gives way."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.transcripts.formats import render
from api.transcripts.line_breaks import width
from api.transcripts.on_screen import MIN_CUE_MS, Cue
from api.transcripts.options import FormatOptions
from api.transcripts.screen import PRESETS, Marks, PresetName, Screen, ScreenChoices, merged
from api.transcripts.subtitles import cues
from shared.transcript import Segment, Transcript, Word
from tests.unit.transcripts.spoken import letters, parsed_srt, parsed_vtt, transcript_of, transcripts, utterance

FAST = "This is said so fast that nobody can read it all in so little time."
"""67 columns."""


def cues_of(*segments: Segment, **choices: object) -> list[Cue]:
    return list(cues(transcript_of(*segments), Screen(**cast(ScreenChoices, choices)), "dashes"))


def times(*segments: Segment, **choices: object) -> list[tuple[int, int]]:
    return [(cue.start_ms, cue.end_ms) for cue in cues_of(*segments, **choices)]


def test_a_cue_stays_until_it_has_been_read() -> None:
    """At ten columns a second, but not longer than a second and a half after its last word."""
    assert times(utterance("A sentence of thirty columns..", 1, 3), reading_speed=10) == [(1000, 4000)]
    assert times(utterance(FAST, 1, 3), reading_speed=10) == [(1000, 4500)]
    assert times(utterance(FAST, 1, 3)) == [(1000, 3000)]


def test_what_cannot_be_read_in_time_makes_way_for_what_is_said_next() -> None:
    """The next cue is on time, and no word is left out: the reading speed gives way first."""
    after = utterance("And then.", 3.2, 4.2)
    assert times(utterance(FAST, 1, 3), after, reading_speed=10) == [(1000, 3200), (3200, 4200)]
    assert times(utterance(FAST, 1, 3), after, reading_speed=10, gap_s=0.1) == [(1000, 3100), (3200, 4200)]


def test_a_short_cue_stays_for_the_minimum() -> None:
    """If that is longer than it is said, up to the next; a cue of nobody else in the way is as long as was asked."""
    assert times(utterance("Yes.", 1, 1.2), utterance("Later.", 8, 8.4), min_cue_s=2) == [(1000, 3000), (8000, 10000)]


def test_a_minimum_joins_what_follows_or_delays_it() -> None:
    """What fits is one cue; what does not comes later, and is shown no shorter than 5/6 s to catch up."""
    first, second = utterance("Yes, of course.", 1, 1.6), utterance("Why do you ask?", 1.7, 2.4)
    assert times(first, second, min_cue_s=2) == [(1000, 3000)]
    sentences = [utterance(f"This is number {n} of all the sentences.", n * 1.5, n * 1.5 + 1.4) for n in range(20)]
    pairs = times(*sentences, min_cue_s=3, max_lines=1)
    assert len(pairs) == 20
    assert all(end - start >= MIN_CUE_MS for start, end in pairs)
    assert all(start - n * 1500 <= 3000 for n, (start, _) in enumerate(pairs))


def test_the_maximum_holds_against_minimum_and_reading_speed() -> None:
    """Nothing is on screen for longer."""
    assert times(utterance(FAST, 1, 3), reading_speed=5, max_cue_s=2.5, min_cue_s=2.5) == [(1000, 3500)]


def test_gaps_are_kept_and_small_ones_closed() -> None:
    """The cue before ends earlier, or later; a longer pause stays as it is."""
    talk = (
        utterance("One is here.", 1, 2),
        utterance("Two is there.", 2.0, 3),
        utterance("Three.", 3.3, 4.3),
        utterance("Four.", 6, 7),
    )
    assert times(*talk, gap_s=0.1) == [(1000, 1900), (2000, 3000), (3300, 4300), (6000, 7000)]
    closed = times(*talk, gap_s=0.1, closed_gap_s=0.5)
    assert closed == [(1000, 1900), (2000, 3200), (3300, 4300), (6000, 7000)]
    slow = [utterance("Word by word, slowly, to be read.", n * 2.0, n * 2.0 + 2, "spk_1") for n in range(5)]
    assert [start for start, _ in times(*slow, gap_s=0.5, reading_speed=15)] == [0, 2000, 4000, 6000, 8000]
    assert times(*talk, closed_gap_s=1.8)[2:] == [(3300, 6000), (6000, 7000)]


def test_a_line_is_as_long_and_a_cue_as_high_as_was_asked() -> None:
    """Whatever the preset says."""
    options = FormatOptions(preset="bbc", subtitles={"max_line_length": 20, "max_lines": 3})
    rendered = parsed_srt(render(transcript_of(utterance(FAST, 0, 4)), "srt", options))
    lines = [cue.plaintext.split("\n") for cue in rendered]
    assert [len(cue) for cue in lines] == [2, 2]
    assert all(len(line) <= 20 for cue in lines for line in cue)


def test_two_at_once_are_told_apart_as_was_asked() -> None:
    """By name in srt and by dashes in vtt; either way in both; presets have dashes."""
    talk = transcript_of(utterance("Good morning.", 0, 1.4, "spk_1"), utterance("Thank you.", 0, 1.5, "spk_2"))
    named, dashed = "spk_1: Good morning.\nspk_2: Thank you.", "- Good morning.\n- Thank you."
    looks: list[tuple[Marks, str]] = [("names", named), ("dashes", dashed)]
    for marks, expected in looks:
        options = FormatOptions(subtitles={"speaker_marks": marks})
        assert [cue.plaintext for cue in parsed_srt(render(talk, "srt", options))] == [expected]
        assert [caption.text for caption in parsed_vtt(render(talk, "vtt", options))] == [expected]
    for preset in PRESETS:
        options = FormatOptions(preset=preset)
        assert [cue.plaintext for cue in parsed_srt(render(talk, "srt", options))] == [dashed]
    options = FormatOptions(preset="bbc", subtitles={"speaker_marks": "names"})
    assert [cue.plaintext for cue in parsed_srt(render(talk, "srt", options))] == [named]


@pytest.mark.parametrize(
    ("preset", "language", "expected"),
    [
        ("netflix", "en", (42, 2, 833, 7000, 20, 84)),
        ("netflix", "de", (42, 2, 833, 7000, 17, 84)),
        ("netflix", "ja", (26, 2, 833, 7000, 8, 84)),
        ("netflix", "zh-TW", (32, 2, 833, 7000, 18, 84)),
        ("netflix", "ko", (32, 2, 833, 7000, 24, 84)),
        ("bbc", "en", (37, 2, 1000, 7000, 15, 0)),
        ("ebu", "fr", (37, 2, 1000, 7000, 15, 160)),
    ],
)
def test_a_preset_is_what_was_published(
    preset: PresetName, language: str, expected: tuple[int, int, int, int, int, int]
) -> None:
    """Columns, lines, least and most ms, columns a second, and ms between two cues; what is chosen itself wins."""
    screen = Screen(**merged({}, preset, language))
    milliseconds = [round(value * 1000) for value in (screen.min_cue_s, screen.max_cue_s, screen.gap_s)]
    assert (screen.max_line_length, screen.max_lines) == expected[:2]
    assert (*milliseconds[:2], screen.reading_speed, milliseconds[2]) == expected[2:]
    limits = Screen(**merged({"reading_speed": 11, "gap_s": 0.5}, preset, language))
    assert (limits.reading_speed, limits.gap_s, limits.max_lines) == (11, 0.5, screen.max_lines)


def test_a_translation_has_the_limits_of_its_own_language() -> None:
    """English out of Japanese is as wide as English."""
    spoken = replace(transcript_of(utterance("This is a line of English, as wide as any.", 0, 4)), language="ja")
    translated = render(spoken, "srt", FormatOptions(preset="netflix", language="en"))
    assert [cue.plaintext for cue in parsed_srt(translated)] == ["This is a line of English, as wide as any."]
    assert "\n" in parsed_srt(render(spoken, "srt", FormatOptions(preset="netflix")))[0].plaintext


choices = st.fixed_dictionaries(
    {},
    optional={
        "max_line_length": st.integers(12, 50),
        "max_lines": st.integers(1, 3),
        "min_cue_s": st.sampled_from([0.1, 0.5, 1.0, 1.5]),
        "max_cue_s": st.sampled_from([1.5, 4.0, 20.0]),
        "reading_speed": st.sampled_from([5, 15.5, 100]),
        "gap_s": st.sampled_from([0.0, 0.084, 1.0]),
        "closed_gap_s": st.sampled_from([0.0, 0.5, 3.0]),
        "speaker_marks": st.sampled_from(["names", "dashes"]),
    },
)


@given(transcripts(), choices, st.sampled_from([None, *PRESETS]))
def test_whatever_is_chosen_holds(spoken: Transcript, wishes: dict[str, object], preset: PresetName | None) -> None:
    """No word is lost; columns, lines and the maximum hold always, and 5/6 s or a smaller minimum."""
    screen = Screen(**merged(cast(ScreenChoices, wishes), preset))
    subtitles = list(cues(spoken, screen, "names"))
    least_ms = min(MIN_CUE_MS, round(screen.min_cue_s * 1000))
    assert all(cue.end_ms - cue.start_ms >= least_ms for cue in subtitles[:-1])
    assert all(cue.end_ms - cue.start_ms <= round(screen.max_cue_s * 1000) for cue in subtitles)
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(subtitles))
    lines = [
        part.label * (not n) + line for cue in subtitles for part in cue.parts for n, line in enumerate(part.lines)
    ]
    assert all(width(line) <= screen.max_line_length for line in lines)
    assert all(sum(len(part.lines) for part in cue.parts) <= screen.max_lines for cue in subtitles)
    for speaker in {segment.speaker for segment in spoken.segments}:
        text = "".join(segment.text for segment in spoken.segments if segment.speaker == speaker)
        parts = ["".join(part.lines) for cue in subtitles for part in cue.parts if part.speaker == speaker]
        assert letters("".join(parts)) == letters(text)


@given(
    st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.1, 3.0), st.integers(1, 12)), min_size=1, max_size=30),
    choices,
    st.sampled_from([None, *PRESETS]),
)
def test_cues_of_one_speaker_never_fall_behind(
    talk: list[tuple[float, float, int]], wishes: dict[str, object], preset: PresetName | None
) -> None:
    """Each begins with its first word or a little later, and behind one that is on time there is the gap."""
    screen = Screen(**merged(cast(ScreenChoices, wishes | {"max_line_length": 30}), preset))
    words: list[Word] = []
    now = 0.0
    for pause, length, count in talk:
        now += pause
        step = max(0.3, length / count)
        words += [Word(now + step * n, now + step * (n + 1), f" w{len(words) + n}", 0.9) for n in range(count)]
        now += step * count
    text = "".join(word.text for word in words)
    spoken = Segment(0, words[0].start, words[-1].end, text, 0.9, None, tuple(words))
    starts = {word.text.strip(): round(word.start * 1000) for word in words}
    subtitles = list(cues(transcript_of(spoken), screen, "dashes"))
    late = [cue.start_ms - starts[cue.parts[0].lines[0].split()[0]] for cue in subtitles]
    assert all(-1 <= late_ms <= 4000 for late_ms in late)
    for late_ms, (before, after) in zip(late, pairwise(subtitles), strict=False):
        assert after.start_ms - before.end_ms >= (round(screen.gap_s * 1000) if late_ms <= 1500 else 0)
