"""`python -m scripts.bench.live`: sessions on /ws/stream in real time, as somebody speaks into them.

The sample call is played again and again on loopback, a tenth of a second at a time, by the command line's own client:
two people who hardly pause, so that an utterance lasts for 20 s. `--play` takes other recordings, such as those of
scripts/evaluate. Times run from when a sound was spoken to when its text arrived. The
offline pass is the transcript of the same session's recording by the same model. Memory is the PSS of the gateway and
of the live worker.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jiwer
import numpy as np

from cli.live.session import LiveSession, Message
from scripts.bench.client import Client
from scripts.bench.idle import MB, share
from scripts.bench.ratios import Goal
from scripts.bench.recordings import read, speech
from scripts.bench.scoring import plain_words
from scripts.bench.soak.truth import bare_environment
from scripts.local.apps import APPS, LIVE
from scripts.local.stack import Stack
from scripts.weights.fixtures import default_model_dir
from shared.transcript import SAMPLE_RATE

PIECE_S = 0.1
"""What is sent together, as most clients do."""

PAUSE_S = 1.5
"""Between two recordings."""

STAGGER_S = 3.7
"""Between the starts of two sessions, or all of them would pause at the same moments."""

SETTLE_S = 65.0
"""After the start, which keeps the machine busy, the worker tries its models again (tasks/live/trial.py)."""

WARM_UP_S = 15.0
GOALS = {"median": Goal(1.0), "p95": Goal(2.0), "changed": Goal(3.0), "apart": Goal(0.3)}


@dataclass(slots=True)
class Playback:
    """What one session has told, with the seconds of its clock at which it did."""

    samples: np.ndarray
    piece_s: float = PIECE_S
    started_at: float = 0.0
    messages: list[tuple[float, Message]] = field(default_factory=list)
    task_id: str = ""

    def run(self, stack: Stack, model: str) -> None:
        query = {"rate": str(SAMPLE_RATE), "model": model, "language": "en"}
        session = LiveSession(stack.url, stack.api_key, query, self._note)
        session.run(self._pieces())
        self.task_id = session.task_id or ""

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    def _note(self, message: Message) -> None:
        self.messages.append((time.monotonic() - self.started_at, message))

    def _pieces(self) -> Iterator[bytes]:
        """Each when its last sample has been spoken."""
        step = round(self.piece_s * SAMPLE_RATE)
        self.started_at = time.monotonic()
        for first in range(0, len(self.samples), step):
            piece = self.samples[first : first + step]
            time.sleep(max(0.0, self.started_at + (first + len(piece)) / SAMPLE_RATE - time.monotonic()))
            yield piece.tobytes()

    def of(self, kind: str) -> list[tuple[float, Message]]:
        return [(at, message) for at, message in self.messages if message["type"] == kind]

    def final_s(self) -> list[float]:
        """From the end of an utterance's last word to its final."""
        return [at - final["words"][-1]["end"] for at, final in self.of("final") if final["words"]]

    def first_s(self) -> list[float]:
        """From an utterance's first sound to its first text."""
        delays: dict[int, float] = {}
        for at, partial in self.of("partial"):
            if partial["committed"] or partial["tail"]:
                delays.setdefault(partial["utterance"], at - partial["start"])
        return list(delays.values())

    def text(self) -> str:
        return " ".join(final["text"] for _, final in self.of("final"))

    def committed(self) -> int:
        """Words that were told to stay."""
        most: dict[int, int] = {}
        for _, partial in self.of("partial"):
            most[partial["utterance"]] = len(partial["committed"].split())
        return sum(most.values())

    def changed(self) -> int:
        return sum(len(final["replaced"]) for _, final in self.of("final"))

    def said_twice(self) -> int:
        finals = [final["utterance"] for _, final in self.of("final")]
        return len(finals) - len(set(finals))


def joined(paths: Sequence[Path], seconds: float) -> np.ndarray:
    """Recordings one after the other, (samples,) int16; fewer seconds if they are shorter. 16 kHz mono 16-bit WAV."""
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.int16)
    return np.concatenate([part for path in paths for part in (read(path), pause)])[: round(seconds * SAMPLE_RATE)]


def play(stack: Stack, model: str, samples: Sequence[np.ndarray], piece_s: float) -> list[Playback]:
    """All at once; they have all ended. Raises RuntimeError where one has not."""
    playbacks = [Playback(each, piece_s) for each in samples]
    threads = [threading.Thread(target=playback.run, args=(stack, model)) for playback in playbacks]
    for thread in threads:
        thread.start()
        time.sleep(STAGGER_S if len(threads) > 1 else 0)
    for thread in threads:
        thread.join()
    if missing := [playback for playback in playbacks if not playback.of("ended")]:
        raise RuntimeError(f"{len(missing)} sessions have not ended")
    return playbacks


def report(model: str, playbacks: list[Playback], stack: Stack, memory: list[tuple[str, list[int]]]) -> None:
    client = Client(stack.url, stack.api_key)
    finals, firsts = (
        sorted(_all(each.final_s() for each in playbacks)),
        sorted(_all(each.first_s() for each in playbacks)),
    )
    apart = []
    for playback in playbacks:
        client.wait(playback.task_id)
        offline = str(client.result(playback.task_id)["full_text"])
        apart.append(100 * jiwer.wer(" ".join(plain_words(offline)), " ".join(plain_words(playback.text()))))
    committed, changed = sum(each.committed() for each in playbacks), sum(each.changed() for each in playbacks)
    share_changed = 100 * changed / max(1, committed)
    print(f"{model}, {len(playbacks)} session(s) of {playbacks[0].seconds:.0f} s, {len(finals)} finals")
    print(_line("first text after its first sound, s", firsts))
    print(_line("final after its last word, s", finals, GOALS["median"], GOALS["p95"]))
    print(f"  words of the offline pass that finals have otherwise    {statistics.median(apart):.1f} %")
    print(
        f"  committed words changed by the final                    {changed} of {committed}, {share_changed:.1f} %"
        f"   goal {GOALS['changed']} {GOALS['changed'].verdict([share_changed])}"
    )
    print(f"  finals told twice                                       {sum(each.said_twice() for each in playbacks)}")
    for name, sizes in memory:
        print(
            f"  {name}, MB, now and then                                "
            + " ".join(f"{size / MB:.0f}" for size in sizes)
        )


def _line(name: str, values: list[float], median: Goal | None = None, p95: Goal | None = None) -> str:
    if not values:
        return f"  {name:<54}  none"
    middle, high = statistics.median(values), values[min(len(values) - 1, int(0.95 * len(values)))]
    verdict = f"   goals {median} {median.verdict([middle])}, {p95} {p95.verdict([high])}" if median and p95 else ""
    return f"  {name:<54}  {middle:.2f} median, {high:.2f} p95, {values[-1]:.2f} at most{verdict}"


def _all(lists: Iterator[list[float]]) -> list[float]:
    return [value for values in lists for value in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base", help="Whisper model (default %(default)s)")
    parser.add_argument("--final-model", default="", help="another model for finals")
    parser.add_argument("--sessions", type=int, default=1, help="at the same time (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=2, help="of each (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each model (default %(default)s)")
    parser.add_argument("--load", type=float, help="LIVE_LOAD of the worker; with 0 it takes whoever comes")
    parser.add_argument("--piece", type=float, default=PIECE_S, help="seconds sent together (default %(default)s)")
    parser.add_argument("--play", type=Path, nargs="+", help="WAV files, 16 kHz mono, played one after the other")
    options = parser.parse_args()
    environ = bare_environment() | {"MODEL_DIR": str(default_model_dir().absolute()), "WHISPER_MODEL": options.model}
    environ |= {"LIVE": "1", "LIVE_MODEL": options.model, "CPU_THREADS": str(options.threads)}
    environ |= {"MAX_LIVE_SESSIONS": str(options.sessions + 1)}  # the warm-up's may still be ending
    seconds = 60 * options.minutes
    samples = joined(options.play, seconds) if options.play else speech(seconds)
    environ |= {"LIVE_FINAL_MODEL": options.final_model}
    if options.load is not None:
        environ |= {"LIVE_LOAD": str(options.load)}
    with (
        tempfile.TemporaryDirectory() as home,
        Stack(Path(home), apps=(*APPS, LIVE), environ=environ) as stack,
    ):
        time.sleep(SETTLE_S)
        play(stack, options.model, [speech(WARM_UP_S)], options.piece)
        memory = [(name, list[int]()) for name in ("api", LIVE.name)]
        stop = threading.Event()

        def weigh() -> None:
            while True:
                for name, sizes in memory:
                    pid = stack.pid(name)
                    sizes.append(share(pid).pss if pid else 0)
                if stop.wait(max(10.0, options.minutes * 60 / 8)):
                    break

        scale = threading.Thread(target=weigh)
        scale.start()
        try:
            playbacks = play(stack, options.model, [samples] * options.sessions, options.piece)
        finally:
            stop.set()
            scale.join()
        report(options.model, playbacks, stack, memory)


if __name__ == "__main__":
    main()
