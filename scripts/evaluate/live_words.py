"""`python -m scripts.evaluate.live_words`: how right a live session's words are, and what they cost.

The recordings of scripts/evaluate are heard as if they were being spoken: a clock gives out 0.1 s of sound at a time,
and waits for as long as a computation takes of the CPU, so that a busy machine changes no figure. The same model's pass
over the whole recording is what they are compared with. EVALUATE_CACHE is where the recordings are kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from scripts.evaluate.corpus import Recording, recordings, selection
from scripts.evaluate.measures import BY_CHARACTER, word_errors
from scripts.evaluate.sources import CACHE, decode
from scripts.weights.fixtures import default_model_dir
from shared.config import Settings
from shared.live_events import Final, LiveEvent, Partial
from shared.transcript import SAMPLE_RATE
from tasks.asr.decoding import TranscribeOptions
from tasks.engines import loading
from tasks.engines.faster_whisper import FasterWhisper
from tasks.listening.bounds import TAIL_S
from tasks.listening.listener import Listener
from tasks.listening.options import ListenOptions
from tasks.stages.transcribe import transcribe

STEP = SAMPLE_RATE // 10
"""Samples that arrive together."""

GOALS = {"WER, live less offline": 0.3, "committed words changed": 3.0}
"""In percent; docs/decisions/live.md."""


@dataclass(frozen=True, slots=True)
class Row:
    """One recording. Words are counted, times are seconds; `waits` are from the end of speech to the final."""

    model: str
    recording: str
    group: str
    seconds: float
    words: int
    live_errors: int
    offline_errors: int
    committed: int
    changed: int
    partials: int
    finals: int
    cpu: float
    offline_cpu: float
    waits: tuple[float, ...]
    text: str
    offline_text: str


def session(listener: Listener, samples: np.ndarray) -> tuple[list[LiveEvent], float, list[float]]:
    """The events, the CPU seconds, and for each final how long after the end of its speech it was there."""
    events: list[LiveEvent] = []
    waits: list[float] = []
    cpu = busy_until = 0.0
    fed = 0
    while fed < len(samples):
        now = max((fed + STEP) / SAMPLE_RATE, busy_until)  # whoever is late takes all that came meanwhile
        upto = min(len(samples), int(now * SAMPLE_RATE) // STEP * STEP)
        began = time.process_time()
        new = listener.feed(samples[fed:upto])
        spent = time.process_time() - began
        fed, cpu, busy_until = upto, cpu + spent, now + spent
        events += new
        waits += [busy_until - (event.end - TAIL_S) for event in new if isinstance(event, Final)]
    return events + listener.finish(), cpu, waits


def measured(recording: Recording, name: str, recogniser: FasterWhisper, options: ListenOptions) -> Row:
    samples = decode(recording.audio)
    padded = np.concatenate([samples, np.zeros(SAMPLE_RATE, np.float32)])
    events, cpu, waits = session(Listener(recogniser, options), padded)
    finals = [event for event in events if isinstance(event, Final)]
    if len({final.utterance for final in finals}) != len(finals):
        raise AssertionError("an utterance has two finals")
    committed = {event.utterance: event.committed for event in events if isinstance(event, Partial)}
    began = time.process_time()
    whole = transcribe(
        lambda start, end: samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)],
        len(samples) / SAMPLE_RATE,
        TranscribeOptions(name),
        recogniser,
        lambda _: None,
    )
    offline_cpu = time.process_time() - began
    texts = [" ".join(final.text for final in finals), " ".join(segment.text for segment in whole.segments)]
    live, offline = (word_errors(recording.text or "", text, recording.language) for text in texts)
    by_word = recording.language not in BY_CHARACTER
    return Row(
        name,
        recording.name,
        recording.group,
        recording.duration,
        live.reference,
        live.insertions + live.deletions + live.substitutions,
        offline.insertions + offline.deletions + offline.substitutions,
        sum(len(text.split()) for text in committed.values()) if by_word else 0,
        sum(len(final.replaced) for final in finals) if by_word else 0,
        sum(isinstance(event, Partial) for event in events),
        len(finals),
        cpu,
        offline_cpu,
        tuple(waits),
        *texts,
    )


def summary(rows: Iterable[Row]) -> str:
    """One line of a table."""
    rows = list(rows)
    words = sum(row.words for row in rows) or 1
    seconds = sum(row.seconds for row in rows)
    live, offline = (
        100 * sum(getattr(row, side) for row in rows) / words for side in ("live_errors", "offline_errors")
    )
    changed = 100 * sum(row.changed for row in rows) / max(1, sum(row.committed for row in rows))
    waits = sorted(wait for row in rows for wait in row.waits) or [0.0]
    cells = (
        f"{seconds:.0f}",
        f"{words}",
        f"{live:.1f}",
        f"{offline:.1f}",
        f"{changed:.1f}",
        f"{sum(row.cpu for row in rows) / seconds:.2f}",
        f"{sum(row.offline_cpu for row in rows) / seconds:.2f}",
        f"{median(waits):.2f}",
        f"{waits[int(0.95 * (len(waits) - 1))]:.2f}",
    )
    return " | ".join(cells)


HEADINGS = (
    "model | group | seconds | words | WER live, % | offline, % | committed words changed, % | "
    "CPU s per s, live | offline | end of speech to final, median | p95"
)


def table(rows: list[Row]) -> str:
    lines = [f"| {HEADINGS} |", "|---" * (HEADINGS.count("|") + 1) + "|"]
    for model in dict.fromkeys(row.model for row in rows):
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            if row.model == model:
                groups[row.group].append(row)
                groups["all"].append(row)
        all_rows = groups.pop("all")
        lines += [f"| {model} | {group} | {summary(of_group)} |" for group, of_group in groups.items()]
        lines.append(f"| {model} | **all** | {summary(all_rows)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="base,tiny.en")
    parser.add_argument("--final-model", default="", help="another model for finals")
    parser.add_argument("--split", default="all", choices=("tuning", "held_out", "all"))
    parser.add_argument("--only", default="", help="only recordings whose name this expression finds, such as ^two")
    parser.add_argument("--longest", type=float, default=200.0, help="seconds of the longest recording that is heard")
    parser.add_argument("--json", type=Path, default=CACHE / "live.json", help="where all figures go")
    options = parser.parse_args()
    notes: list[str] = []
    corpus = [
        recording
        for recording in selection(recordings(notes), options.split, options.only)
        if recording.text and recording.duration <= options.longest
    ]
    # Settings ask for addresses of servers, which nothing here uses.
    unused = {"database_url": "postgresql+psycopg://x@localhost/x", "redis_url": "redis://localhost:1/0"}
    config = Settings.model_validate({**unused, "model_dir": default_model_dir(), "device": "cpu", "cpu_threads": 1})
    rows: list[Row] = []
    for name in options.models.split(","):
        recogniser = loading.whisper(config, name)
        final_model = loading.whisper(config, options.final_model) if options.final_model else None
        for recording in corpus:
            if name.endswith(".en") and recording.language != "en":
                continue
            rows.append(measured(recording, name, recogniser, ListenOptions(final_model=final_model)))
            print(f"{name} {recording.name}: {summary(rows[-1:])}", file=sys.stderr, flush=True)
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=1) + "\n")
    print(table(rows), *notes, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
