"""Speakers that are told apart while they speak, with real weights and real voices."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
import structlog
import torch

from scripts.weights.fixtures import default_model_dir, fixture
from shared.config import Settings
from shared.live.age import Age
from shared.live.listeners import Claim, Place
from shared.live_events import Final
from shared.options import JobOptions
from shared.transcript import SAMPLE_RATE
from tasks.diarization import torchaudio_cpu
from tasks.engines.faster_whisper import FasterWhisper
from tasks.engines.recogniser import Samples
from tasks.engines.speaker_embedding import FULL_SCALE, SpeakerEmbedding
from tasks.listening.listener import Listener
from tasks.listening.options import ListenOptions
from tasks.listening.speakers import NEW_S
from tasks.live import models
from tests.model.test_transcribe import recording

PAUSE = np.zeros(SAMPLE_RATE * 3 // 4, np.float32)
STEP = SAMPLE_RATE // 2

TURNS = ("librivox-0870", "jfk", "librivox-0880", "librivox-0890", "jfk", "librivox-0920")
"""Two voices in turn."""

FEW_WORDS_S = NEW_S + 1.0
"""An utterance is longer than the speech in it, by the silence around."""


@pytest.fixture(scope="module")
def embedding() -> SpeakerEmbedding:
    return SpeakerEmbedding(fixture("wespeaker.onnx"))


@pytest.fixture(scope="module")
def conversation() -> Samples:
    return np.concatenate([part for name in TURNS for part in (recording(f"{name}.wav"), PAUSE)])


def options(embedding: SpeakerEmbedding | None, most: int | None = None) -> ListenOptions:
    return ListenOptions(speaker_embedding=embedding, most_speakers=most, partial_every_s=60.0)


def hear(listener: Listener, samples: Samples) -> list[tuple[Final, bytes | None]]:
    """Each final with the voices that are known behind it."""
    finals = []
    for first in range(0, len(samples), STEP):
        events = listener.feed(samples[first : first + STEP])
        finals += [(event, listener.voices) for event in events if isinstance(event, Final)]
    return finals + [(event, listener.voices) for event in listener.finish() if isinstance(event, Final)]


@pytest.fixture(scope="module")
def finals(tiny: FasterWhisper, embedding: SpeakerEmbedding, conversation: Samples) -> list[tuple[Final, bytes | None]]:
    return hear(Listener(tiny, options(embedding)), conversation)


def speaker_at(at_s: float) -> str:
    """Who speaks in the conversation."""
    end = 0.0
    for name in TURNS:
        end += (len(recording(f"{name}.wav")) + len(PAUSE)) / SAMPLE_RATE
        if at_s < end:
            return name.partition("-")[0]
    raise AssertionError(at_s)


def test_two_voices_have_a_name_each(finals: list[tuple[Final, bytes | None]]) -> None:
    """The first to speak is spk_1; each keeps its name in all that it says. A few words may be too few to tell."""
    names = {"librivox": "spk_1", "jfk": "spk_2"}
    utterances = [final for final, _ in finals if final.text]
    assert len(utterances) >= len(TURNS)
    for final in utterances:
        expected = names[speaker_at((final.start + final.end) / 2)]
        assert final.speaker == expected or (final.speaker is None and final.end - final.start < FEW_WORDS_S), final
    assert [final.speaker for final in utterances].count(None) < len(utterances) / 4


@pytest.mark.parametrize("place", [0, 2, 4])
def test_another_listener_knows_the_voices(
    place: int,
    tiny: FasterWhisper,
    embedding: SpeakerEmbedding,
    conversation: Samples,
    finals: list[tuple[Final, bytes | None]],
) -> None:
    """Whoever goes on behind a final with the voices of then gives the same names, and knows the same in the end."""
    last, voices = finals[place]
    second = Listener(
        tiny, options(embedding), start_s=last.end, utterance=last.utterance + 1, language="en", voices=voices
    )
    rest = hear(second, conversation[round(last.end * SAMPLE_RATE) :])
    assert [(final.speaker, memory) for final, memory in rest] == [
        (final.speaker, memory) for final, memory in finals[place + 1 :]
    ]


def test_there_are_no_more_speakers_than_were_asked_for(
    tiny: FasterWhisper, embedding: SpeakerEmbedding, conversation: Samples
) -> None:
    listener = Listener(tiny, options(embedding, most=1))
    assert {final.speaker for final, _ in hear(listener, conversation) if final.text} == {"spk_1"}


def test_without_the_embedding_voices_are_handed_on(tiny: FasterWhisper) -> None:
    """By a worker that cannot tell speakers apart, between two that can."""
    listener = Listener(tiny, options(None), voices=b"of another")
    ((final, voices),) = hear(listener, np.concatenate([recording("librivox-0880.wav"), PAUSE]))
    assert (final.speaker, voices) == (None, b"of another")


def test_where_it_fails_there_is_text_all_the_same(tiny: FasterWhisper, tmp_path: Path) -> None:
    broken = SpeakerEmbedding(fixture("wespeaker.onnx"))
    broken._input = "none_such"
    listener = Listener(tiny, options(broken))
    ((final, _),) = hear(listener, np.concatenate([recording("librivox-0880.wav"), PAUSE]))
    assert final.text and final.speaker is None
    assert listener.speaker_error


def test_the_filter_bank_is_that_of_the_training(embedding: SpeakerEmbedding) -> None:
    """Kaldi's, as torchaudio has it, for a voice and for one that is hardly to be heard."""
    torchaudio_cpu.install()
    from torchaudio.compliance import kaldi

    for loudness in (1.0, 0.01):
        samples = recording("jfk.wav")[: 6 * SAMPLE_RATE] * np.float32(loudness)
        scaled = torch.from_numpy(samples * np.float32(FULL_SCALE))[None]
        expected = kaldi.fbank(scaled, num_mel_bins=80, window_type="hamming", use_energy=False, dither=0.0).numpy()
        np.testing.assert_allclose(embedding.features(samples)[0], expected, atol=0.001)


def claimed(diarization: bool) -> Claim:
    request = JobOptions(diarization=diarization, max_speakers=2 if diarization else None)
    return Claim(uuid.uuid4(), 1, "pcm16", SAMPLE_RATE, 0, Place(), request, None, Age())


def installed(config: Settings, folder: Path) -> Settings:
    """A MODEL_DIR with the speech models alone."""
    (folder / "whisper").symlink_to((default_model_dir() / "whisper").resolve())
    return config.model_copy(update={"live_model": "tiny.en", "model_dir": folder})


def install_embedding(folder: Path) -> None:
    (folder / models.SPEAKERS_FILE).parent.mkdir()
    (folder / models.SPEAKERS_FILE).symlink_to(fixture("wespeaker.onnx").resolve())


def test_a_worker_without_it_says_so_once(config: Settings, tmp_path: Path) -> None:
    """And hears its sessions; those that begin when it is there have speakers."""
    config = installed(config, tmp_path)
    samples = np.concatenate([recording("librivox-0880.wav"), PAUSE])
    with structlog.testing.capture_logs() as logs:
        for asks in (False, True, True):
            with models.listener(config, claimed(asks)) as listener:
                ((final, _),) = hear(listener, samples)
            assert final.text and final.speaker is None
    assert [line["event"] for line in logs].count("speakers_missing") == 1
    install_embedding(tmp_path)
    with models.listener(config, claimed(True)) as listener:
        ((final, _),) = hear(listener, samples)
    assert final.speaker == "spk_1"


def test_speakers_are_told_apart_where_they_are_asked_for(config: Settings, tmp_path: Path) -> None:
    config = installed(config, tmp_path)
    install_embedding(tmp_path)
    samples = np.concatenate([recording("librivox-0880.wav"), PAUSE])
    for asks, speaker in ((False, None), (True, "spk_1")):
        with models.listener(config, claimed(asks)) as listener:
            ((final, voices),) = hear(listener, samples)
        assert final.speaker == speaker
        assert (voices is not None) == asks
