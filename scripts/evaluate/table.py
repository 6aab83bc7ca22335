"""Figures of many recordings as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.evaluate.measures import Scores, SpeakerErrors, WordErrors, middle

BEGIN = "<!-- figures: rewritten by `make evaluate ARGS=--write` -->"
END = "<!-- end of the figures -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One system on one recording. `failure` is empty unless it gave no answer."""

    system: str
    recording: str
    group: str
    half: str
    duration: float
    wall_s: float
    cpu_s: float
    scores: Scores
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and what stands below it for some rows of one system."""

    heading: str
    cell: Callable[[Sequence[Row]], str]


def _words(rows: Sequence[Row], choice: Callable[[Scores], WordErrors | None]) -> WordErrors | None:
    parts = [errors for row in rows if (errors := choice(row.scores)) is not None]
    return sum(parts, WordErrors()) if parts else None


def _seconds(rows: Sequence[Row], choice: Callable[[Scores], SpeakerErrors | None]) -> SpeakerErrors | None:
    parts = [errors for row in rows if (errors := choice(row.scores)) is not None]
    return sum(parts, SpeakerErrors()) if parts else None


def _wer(rows: Sequence[Row]) -> str:
    errors = _words(rows, lambda scores: scores.words)
    if errors is None:
        return ""
    return f"{_percent(errors.rate)} ({errors.insertions} + {errors.deletions} + {errors.substitutions})"


def _lost(rows: Sequence[Row]) -> str:
    parts = [row.scores.losses for row in rows if row.scores.losses is not None]
    return f"{sum(p.unflagged for p in parts)} / {sum(p.flagged for p in parts)}" if parts else ""


def _cp_wer(rows: Sequence[Row]) -> str:
    errors = _words(rows, lambda scores: scores.cp_words)
    return "" if errors is None else _percent(errors.rate)


def _der(rows: Sequence[Row]) -> str:
    errors = _seconds(rows, lambda scores: scores.turns)
    if errors is None:
        return ""
    return f"{_percent(errors.rate)} ({_percent(errors.confused / max(1e-9, errors.reference))})"


def _lenient(rows: Sequence[Row]) -> str:
    errors = _seconds(rows, lambda scores: scores.turns_lenient)
    return "" if errors is None else _percent(errors.rate)


def _counts(rows: Sequence[Row]) -> str:
    parts = [row.scores.speakers for row in rows if row.scores.speakers is not None]
    return f"{sum(truth == guess for truth, guess in parts)}/{len(parts)}" if parts else ""


def _times(rows: Sequence[Row]) -> str:
    start = middle([error for row in rows for error in row.scores.start_errors])
    end = middle([error for row in rows for error in row.scores.end_errors])
    return "" if start is None or end is None else f"{start:.2f} / {end:.2f}"


COLUMNS = (
    Column("WER % (ins + del + sub)", _wer),
    Column("lost words, unflagged / flagged", _lost),
    Column("cpWER %", _cp_wer),
    Column("DER % (confusion)", _der),
    Column("DER %, collar 0.25 s", _lenient),
    Column("right number of speakers", _counts),
    Column("word start / end off by s", _times),
    Column("wall s", lambda rows: f"{sum(row.wall_s for row in rows):.0f}"),
    Column("CPU s", lambda rows: f"{sum(row.cpu_s for row in rows):.0f}"),
)


def tables(rows: Sequence[Row]) -> str:
    """A table for each group of recordings and one for all, in Markdown."""
    groups = list(dict.fromkeys(row.group for row in rows))
    parts = [_table(group, [row for row in rows if row.group == group]) for group in groups]
    if len(groups) > 1:
        parts.append(_table("all", rows))
    return "\n".join(parts)


def _table(title: str, rows: Sequence[Row]) -> str:
    recordings = {row.recording: row.duration for row in rows}
    successes = [row for row in rows if not row.failure]
    words = _words(_once(successes), lambda scores: scores.words)
    size = f"{len(recordings)} recordings, {sum(recordings.values()):.0f} s" + (
        f", {words.reference} words" if words else ""
    )
    lines = [f"**{title}** ({size})", "", "| | " + " | ".join(column.heading for column in COLUMNS) + " |"]
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    for system in dict.fromkeys(row.system for row in rows):
        system_rows = [row for row in successes if row.system == system]
        failed = sum(row.system == system and bool(row.failure) for row in rows)
        name = f"{system}, {failed} failed" if failed else system
        cells = [column.cell(system_rows) if system_rows else "" for column in COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _once(rows: Iterable[Row]) -> list[Row]:
    """One row of each recording, with words if any has them."""
    best: dict[str, Row] = {}
    for row in rows:
        if row.recording not in best or row.scores.words is not None:
            best[row.recording] = row
    return list(best.values())


def rewritten(path: Path, figures: str) -> None:
    """Put the figures into a document, between its two marks. Raises ValueError where it has none."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for the figures: the lines {BEGIN} and {END}")
    path.write_text(f"{before}{begin}\n\n{figures}\n{end}{after}")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
