"""`python -m scripts.evaluate`: how right the transcripts of Parley and others are, on recordings with known words.

Tune with --split tuning and look at the held-out half only to report. --folder measures your own recordings: each with
a .txt (words), .stm (words and turns), .rttm (turns) or .ctm (times of words) of the same name beside it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from scripts.evaluate.corpus import VERSION, Recording, folder_recordings, recordings, selection
from scripts.evaluate.measures import Scores, scores
from scripts.evaluate.sources import CACHE
from scripts.evaluate.systems import SYSTEMS, NotInstalled, Setup, timed
from scripts.evaluate.table import Row, rewritten, tables

DOCUMENT = Path("docs/quality.md")


def main() -> int:
    options = arguments()
    names = options.systems.split(",")
    if unknown := [name for name in names if name not in SYSTEMS]:
        sys.exit(f"no system {', '.join(unknown)}: there are {', '.join(SYSTEMS)}")
    notes: list[str] = []
    if options.folder:
        corpus = selection(folder_recordings(options.folder, options.language), "all", options.only)
    else:
        corpus = selection(recordings(notes), options.split, options.only)
    notes = [f"left out: {note}" for note in notes]
    setup = Setup(options.model, options.threads, options.url, options.key)
    rows: list[Row] = []
    answers: list[dict[str, Any]] = []
    for name in names:
        try:
            measure(name, setup, corpus, rows, answers)
        except (NotInstalled, ImportError) as error:
            notes.append(f"{name}: {error}")
    before = earlier(options.before, rows) if options.before else []
    figures = tables([*before, *rows])
    print(figures, *notes, sep="\n")
    save(options.json, options, rows, answers, notes)
    if options.write:
        today = datetime.datetime.now(datetime.UTC).date()
        how = (
            f"{today}, model {options.model}, {options.threads} thread(s), {platform.machine()}, split {options.split}."
        )
        rewritten(DOCUMENT, "\n".join([how, "", figures, *notes]))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", default="local,bare-batched,bare-sequential", help=f"of {', '.join(SYSTEMS)}")
    parser.add_argument("--split", default="tuning", choices=("tuning", "held_out", "all"))
    parser.add_argument("--model", default="base", help="Whisper model (default base)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each model (default 1)")
    parser.add_argument("--only", default="", help="only recordings whose name this expression finds, such as ^two")
    parser.add_argument("--folder", type=Path, help="recordings of your own")
    parser.add_argument("--language", default="en", help="of --folder, for the comparison of words (default en)")
    parser.add_argument("--url", default="", help="of a Parley that runs, for the system parley; else one is started")
    parser.add_argument("--key", default=os.environ.get("API_KEY", ""), help="its API key (default API_KEY)")
    parser.add_argument("--json", type=Path, default=CACHE / "figures.json", help="where all figures go")
    parser.add_argument("--before", type=Path, help="such a file of an earlier run, to show beside this one")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT}")
    return parser.parse_args()


def measure(name: str, setup: Setup, corpus: list[Recording], rows: list[Row], answers: list[dict[str, Any]]) -> None:
    """Run one system on all recordings. A recording that it fails on becomes a row that says so."""
    with SYSTEMS[name](setup) as hear:
        for recording in corpus:
            where = (name, recording.name, recording.group, recording.half, recording.duration)
            try:
                answer, wall, cpu = timed(hear, recording.audio)
            except Exception as error:  # noqa: BLE001 - one recording must not end the others
                rows.append(Row(*where, 0.0, 0.0, Scores(), f"{type(error).__name__}: {error}"))
                print(f"{name} {recording.name}: {rows[-1].failure}", file=sys.stderr)
                continue
            rows.append(Row(*where, wall, cpu, scores(recording, answer.words, answer.turns, answer.dropped)))
            answers.append({"system": name, "recording": recording.name, **asdict(answer)})
            print(f"{name} {recording.name} {wall:.1f} s", file=sys.stderr, flush=True)


def earlier(path: Path, rows: list[Row]) -> list[Row]:
    """What an earlier run found with the same systems on the same recordings. Raises SystemExit for other ones."""
    body = json.loads(path.read_text())
    if body["recordings_version"] != VERSION:
        sys.exit(f"{path} is of version {body['recordings_version']} of the recordings, these are {VERSION}")
    measured = {(row.system, row.recording) for row in rows}
    old_rows = TypeAdapter(list[Row]).validate_python(body["rows"])
    return [replace(row, system=f"{row.system}, before") for row in old_rows if (row.system, row.recording) in measured]


def save(
    path: Path, options: argparse.Namespace, rows: list[Row], answers: list[dict[str, Any]], notes: list[str]
) -> None:
    """All figures and answers, for comparing runs."""
    body = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "recordings_version": VERSION,
        "model": options.model,
        "threads": options.threads,
        "split": options.split,
        "notes": notes,
        "rows": [asdict(row) for row in rows],
        "answers": answers,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
