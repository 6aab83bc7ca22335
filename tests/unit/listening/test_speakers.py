"""Voices that are told apart one utterance after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tasks.listening.speakers import DIMENSION, MOST, SAME, Speakers, Voice

ROOT = Path(__file__).parents[3]
LONG_S, SHORT_S = 3.0, 1.0
AXES = np.eye(DIMENSION, dtype=np.float32)


def voice(number: int, likeness: float = 1.0, seconds: float = LONG_S, towards: int = 200) -> Voice:
    """An utterance with this cosine to the voice `number`, and elsewhere with nobody's."""
    vector = likeness * AXES[number] + np.sqrt(1 - likeness**2) * AXES[towards]
    return Voice(vector.astype(np.float32), seconds)


def names(speakers: Speakers, *voices: Voice) -> list[str | None]:
    return [speakers.assign(each) for each in voices]


def test_voices_are_numbered_as_they_come() -> None:
    voices = [voice(0), voice(1), voice(0, SAME + 0.1), voice(2), voice(1, SAME + 0.1, towards=201)]
    assert names(Speakers(), *voices) == ["spk_1", "spk_2", "spk_1", "spk_3", "spk_2"]


def test_a_voice_is_learnt_from_all_that_it_says() -> None:
    """What is unlike its first utterance may be like the second."""
    speakers = Speakers()
    assert names(speakers, voice(0), voice(0, 0.6)) == ["spk_1", "spk_1"]
    assert names(Speakers(), voice(0), voice(200)) == ["spk_1", "spk_2"]
    assert speakers.assign(voice(200)) == "spk_1"


def test_little_speech_is_no_new_voice() -> None:
    """It has the name of a voice that it is like, and changes none."""
    speakers = Speakers()
    assert speakers.assign(voice(0, seconds=SHORT_S)) is None
    assert speakers.assign(voice(0)) == "spk_1"
    before = speakers.state
    assert names(speakers, voice(0, 0.6, SHORT_S), voice(1, seconds=SHORT_S)) == ["spk_1", None]
    assert speakers.state == before


@pytest.mark.parametrize(("most", "bound"), [(2, 2), (None, MOST), (10 * MOST, MOST)])
def test_there_are_so_many_voices_and_no_more(most: int | None, bound: int) -> None:
    """Whoever comes then has the name of the nearest, whom that does not change."""
    speakers = Speakers(most)
    assert names(speakers, *map(voice, range(bound))) == [f"spk_{number + 1}" for number in range(bound)]
    before = speakers.state
    assert len(before) == 4 * DIMENSION * bound
    assert speakers.assign(voice(1, SAME / 2)) == "spk_2"
    assert speakers.state == before


@pytest.mark.parametrize("place", range(6))
def test_another_one_goes_on_with_its_state(place: int) -> None:
    """Wherever it takes over: the same names, and the same state to the last bit."""
    random = np.random.default_rng(7)
    voices = []
    for number in (0, 1, 0, 2, 1, 0, 2, 2):
        vector = AXES[number] + random.normal(scale=0.05, size=DIMENSION).astype(np.float32)
        voices.append(Voice(vector / np.linalg.norm(vector), LONG_S))
    alone, first = Speakers(), Speakers()
    whole = names(alone, *voices)
    before = names(first, *voices[:place])
    second = Speakers(state=first.state)
    assert before + names(second, *voices[place:]) == whole
    assert second.state == alone.state


@pytest.mark.parametrize("state", [b"", b"\0" * 12, b"\0" * (4 * DIMENSION + 4), b"\0\0\0"])
def test_a_state_that_nobody_knows_is_none(state: bytes) -> None:
    """Of another release, say."""
    assert Speakers(state=state).assign(voice(0)) == "spk_1"


def test_the_network_is_not_needed_to_import_it() -> None:
    """A worker without the embedding has neither its filter bank nor its memory."""
    loaded = "import sys, tasks.listening.listener, tasks.live.models; sys.exit('onnx_asr' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, check=False).returncode == 0
