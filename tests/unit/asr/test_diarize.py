"""Diarization without its models: what is refused, what is imported, and the scores that judge it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bench.scoring import diarization_error_rate, read_rttm, read_stm, speaker_accuracy, word_error_rate
from shared.errors import ModelUnavailable
from shared.transcript import SpeakerTurn, Word
from tasks.diarization.loading import load_pipeline

DIALOGUE = [SpeakerTurn(0, 4, "ann"), SpeakerTurn(4, 8, "bob"), SpeakerTurn(6, 8, "ann")]


def renamed(turns: list[SpeakerTurn], **names: str) -> list[SpeakerTurn]:
    return [SpeakerTurn(turn.start, turn.end, names[turn.speaker]) for turn in turns]


def test_missing_weights_say_what_to_do(tmp_path: Path) -> None:
    """Without local weights and without a token the error names both remedies."""
    with pytest.raises(ModelUnavailable, match=r"MODEL_DIR/diarization.*download_models.*HF_TOKEN") as caught:
        load_pipeline(tmp_path, clustering="windows", device="cpu", token=None)
    assert str(tmp_path) not in caught.value.message


def test_a_token_that_pyannote_would_drop_is_named(tmp_path: Path) -> None:
    """A token of another service is refused for what it is, and not shown."""
    with pytest.raises(ModelUnavailable, match='start with "hf_"') as caught:
        load_pipeline(tmp_path, clustering="windows", device="cpu", token="sk-secret")
    assert "sk-secret" not in caught.value.message


def test_importing_the_stage_and_the_loader_loads_no_model_library() -> None:
    """A process that may never diarize does not pay for torch."""
    check = (
        "import sys, tasks.diarization.loading, tasks.stages.diarize, scripts.bench.scoring;"
        "print({'torch', 'torchaudio', 'pyannote', 'jiwer', 'scipy'} & set(sys.modules))"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", check], cwd=root, capture_output=True, text=True, timeout=300)
    assert run.stdout.strip() == "set()", run.stderr


def test_speaker_names_do_not_matter_to_the_error_rate() -> None:
    """Only who is the same person counts, not what they are called."""
    assert diarization_error_rate(DIALOGUE, renamed(DIALOGUE, ann="spk_2", bob="spk_1")) == 0


@pytest.mark.parametrize(
    ("hypothesis", "error_rate"),
    [
        ([], 1.0),
        (DIALOGUE[:2], 2 / 10),
        ([*DIALOGUE, SpeakerTurn(9, 10, "bob")], 1 / 10),
        ([SpeakerTurn(0, 8, "ann"), SpeakerTurn(6, 8, "bob")], 2 / 10),
    ],
    ids=["all missed", "overlap missed", "false alarm", "confused"],
)
def test_each_kind_of_error_costs_its_seconds(hypothesis: list[SpeakerTurn], error_rate: float) -> None:
    """Missed, false and confused speech each count once per second, over ten seconds of speech."""
    assert diarization_error_rate(DIALOGUE, hypothesis) == pytest.approx(error_rate)


def words(*speakers: str | None) -> list[Word]:
    """One word a second, in the middle of it."""
    return [Word(second + 0.4, second + 0.6, " word", 1, speaker) for second, speaker in enumerate(speakers)]


def test_word_accuracy_matches_speakers_one_to_one() -> None:
    """One name for everybody is right for one person only; a word without speaker is wrong."""
    turns = [SpeakerTurn(0, 3, "ann"), SpeakerTurn(3, 4, "bob")]
    assert speaker_accuracy(turns, words("x", "x", "x", "y")) == 1
    assert speaker_accuracy(turns, words("x", "x", "x", "x")) == 3 / 4
    assert speaker_accuracy(turns, words("x", "x", None, "y")) == 3 / 4
    assert speaker_accuracy(turns, words(None, None, None, None)) == 0


def test_word_accuracy_leaves_out_words_in_the_reference_s_pauses() -> None:
    """What nobody said according to the reference has no right speaker."""
    assert speaker_accuracy([SpeakerTurn(0, 1, "ann")], words("x", "x", "x")) == 1
    assert speaker_accuracy([], words("x")) == 0


def test_word_error_rate_ignores_case_and_punctuation() -> None:
    """Only the words count: one wrong of four is a quarter."""
    assert word_error_rate("Oh, I don't know.", "oh I don\u2019t know") == 0
    assert word_error_rate("one two three four", "one two tree four") == 1 / 4


def test_references_are_read_as_turns(tmp_path: Path) -> None:
    """RTTM gives start and duration, STM start and end with the text."""
    rttm, stm = tmp_path / "a.rttm", tmp_path / "a.stm"
    rttm.write_text("SPEAKER a 1 6.690 0.430 <NA> <NA> ann <NA> <NA>\nSPKR-INFO a 1 <NA> <NA> <NA> unknown ann <NA>\n")
    stm.write_text(";; comment\na 1 ann 6.68 7.16 Hello? Who is it?\na 1 bob 7.2 7.3\n")
    (turn,) = read_rttm(rttm)
    assert (turn.start, turn.speaker) == (6.69, "ann")
    assert turn.end == pytest.approx(7.12)
    assert read_stm(stm) == [
        (SpeakerTurn(6.68, 7.16, "ann"), "Hello? Who is it?"),
        (SpeakerTurn(7.2, 7.3, "bob"), ""),
    ]
