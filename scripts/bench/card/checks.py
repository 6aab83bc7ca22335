"""The checks of `python -m scripts.bench.card`, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One path over the card.

    name : also that of its function in probes.py
    what : what it does, in words
    limit_s : after so many seconds its process is ended
    needs_card : whether there is nothing of it to run on a CPU
    """

    name: str
    what: str
    limit_s: float
    needs_card: bool = True
    arguments: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return " ".join((self.name, *self.arguments))


def _recognition(compute_type: str, batch: int) -> Check:
    what = f"tiny.en as {compute_type} recognises ten minutes, {batch} pieces at once"
    return Check("recognition", what, 60, arguments=(compute_type, str(batch)))


CHECKS = (
    Check("nvml", "NVML lists the cards, with the memory and use that /metrics tells of each", 20),
    _recognition("float16", 8),
    _recognition("float16", 32),
    _recognition("int8_float16", 8),
    _recognition("int8_float16", 32),
    Check("diarization", "pyannote tells the speakers of ten minutes apart, by both clusterings", 90),
    Check(
        "step_down",
        "another process fills the card: recognition goes on with smaller batches, or on the CPU; once the card has "
        "room the next task has its model there again",
        150,
    ),
    Check("diarization_step_down", "the same for diarization", 120),
    Check("one_each", "a process for each card, or two on the only one, recognise side by side", 60),
)
"""On a card. Their limits add up to more than eight minutes, which the whole ends at."""

CPU_CHECKS = (
    Check("recognition", "tiny.en as int8 recognises a minute", 120, needs_card=False, arguments=("int8", "8")),
    Check("diarization", "pyannote tells the speakers of a minute apart, by both clusterings", 200, needs_card=False),
)
"""With `--device cpu`: what of the bench itself can be tried without a card."""
