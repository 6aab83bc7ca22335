"""What is held out stays out of what Parley is tuned by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.evaluate.corpus import MEETINGS, Recording, folder_recordings, half_of, scenes, selection
from scripts.evaluate.dialogues import lines
from scripts.evaluate.scenes import RECIPES
from scripts.evaluate.sources import VOICES, Clip
from shared.transcript import SAMPLE_RATE

RNG = np.random.default_rng(1)


def clips(voice: str) -> list[Clip]:
    """Two bursts of noise of a second each."""
    language = voice.removeprefix("synthetic-") if voice.startswith("synthetic-") else "en"
    noise = RNG.normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    return [Clip(voice, language, text, noise) for text in ("first words", "second words")]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    """Every scene but the long one, of every voice's name."""
    recipes = {name: recipe for name, recipe in RECIPES.items() if name != "long"}
    return scenes({name: clips(name) for name in VOICES}, recipes, tmp_path_factory.mktemp("scenes"))


def speakers(recordings: list[Recording]) -> set[str]:
    return {turn.speaker for recording in recordings for turn in recording.turns or ()}


def test_no_voice_is_in_both_halves(recordings: list[Recording]) -> None:
    """The scenes of one half have voices of that half alone, and each half has as many scenes as the other."""
    tuning, held_out = selection(recordings, "tuning"), selection(recordings, "held_out")
    assert not speakers(tuning) & speakers(held_out)
    assert {half_of(voice) for voice in speakers(tuning)} == {"tuning"}
    assert {half_of(voice) for voice in speakers(held_out)} == {"held_out"}
    assert len(tuning) == len(held_out) == len(recordings) / 2
    assert {recording.name for recording in selection(recordings, "all")} == {
        recording.name for recording in recordings
    }


def test_without_voices_there_are_no_scenes(tmp_path: Path) -> None:
    """Where no English voice of a half could be fetched its scenes are left out."""
    voices = {name: clips(name) for name in ("synthetic-fr", "austen")}
    assert {recording.half for recording in scenes(voices, {"two": RECIPES["two"]}, tmp_path)} == {"tuning"}


def test_halves_never_change() -> None:
    """A name stays in its half whatever is added; the sample call, which Parley was written with, is for tuning."""
    held_out = {name for name in (*VOICES, *MEETINGS, "sample") if half_of(name) == "held_out"}
    assert held_out == {
        *("cards", "kennedy", "nature", "turtle", "flite-kal16"),
        *("synthetic-en", "synthetic-fr", "synthetic-ja", "synthetic-pt", "synthetic-zh"),
        *("ami-dev", "ami-trn01", "ami-trn04", "ami-trn05", "ami-trn06"),
    }


def test_turns_are_where_the_sound_is(recordings: list[Recording]) -> None:
    """In the clean conversation of two the turns cover the seconds of sound, within their bounds."""
    recording = next(each for each in recordings if each.name == "two-tuning")
    data = np.frombuffer(recording.audio.read_bytes()[44:], "<i2")
    inside = np.zeros(len(data), bool)
    for turn in recording.turns or ():
        inside[round(turn.start * SAMPLE_RATE) : round(turn.end * SAMPLE_RATE)] = True
    assert np.abs(data[~inside]).max(initial=0) == 0
    assert np.mean(np.abs(data[inside])) > 500
    assert len(data) / SAMPLE_RATE == pytest.approx(recording.duration)


def test_overlaps_are_in_the_turns_and_in_the_sound(recordings: list[Recording]) -> None:
    """Where turns of a scene with overlaps lie over each other it is louder than where one voice is alone."""
    recording = next(each for each in recordings if each.name == "overlaps-tuning")
    data = np.frombuffer(recording.audio.read_bytes()[44:], "<i2").astype(np.float64)
    voices = np.zeros(len(data), int)
    for turn in recording.turns or ():
        voices[round(turn.start * SAMPLE_RATE) : round(turn.end * SAMPLE_RATE)] += 1
    assert voices.max() >= 2
    assert np.mean(data[voices == 2] ** 2) == pytest.approx(2 * np.mean(data[voices == 1] ** 2), rel=0.1)


def test_a_script_names_its_speakers() -> None:
    """Lines of the two fish that are translated; others, and untranslated ones, are not spoken by anybody known."""
    script = """
dialogId("a", "font_small", "Hello?")
dialogStr("Hallo?")

dialogId("b", "font_big", "Say \\"yes\\".")
dialogStr("Zeg ja.")

dialogId("c", "font_white", "Quack")
dialogStr("Kwak")

dialogId("d", "font_big", "Not yet.")
"""
    assert lines(script) == [("a", "small", "Hallo?"), ("b", "big", "Zeg ja.")]


def test_scenes_are_the_same_each_time(recordings: list[Recording], tmp_path: Path) -> None:
    """Made anew from the same clips, a scene has the same samples, words and turns."""
    voices = {name: [Clip(name, "en", "some words", np.sin(np.arange(8000)).astype(np.float32))] for name in VOICES}
    recipes = {name: RECIPES[name] for name in ("noise", "music")}
    first, second = scenes(voices, recipes, tmp_path / "a"), scenes(voices, recipes, tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        assert (one.utterances, one.turns) == (other.utterances, other.turns)
        assert one.audio.read_bytes() == other.audio.read_bytes()


def test_a_folder_of_ones_own(recordings: list[Recording], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Audio with references beside it is taken up with all that they tell, audio without is not."""
    monkeypatch.setattr("scripts.evaluate.corpus.FOLDER", tmp_path / "cache")
    folder = tmp_path / "calls"
    folder.mkdir()
    for name in ("call", "memo", "unknown"):
        (folder / f"{name}.wav").write_bytes(recordings[0].audio.read_bytes())
    (folder / "call.stm").write_text("call 1 bob 2.0 3.0 hello there\ncall 1 ann 0.5 1.5 good morning\n")
    (folder / "call.ctm").write_text("call 1 0.5 0.4 good\ncall 1 1.0 0.5 morning\n")
    (folder / "memo.txt").write_text("What was said.")
    (folder / "memo.rttm").write_text("SPEAKER memo 1 0.0 2.5 <NA> <NA> ann <NA> <NA>\n")
    call, memo = folder_recordings(folder, "en")
    assert (call.name, call.text, call.speakers) == ("call", "good morning hello there", 2)
    assert [word.text for word in call.words or ()] == ["good", "morning"]
    assert (memo.text, memo.utterances, memo.speakers) == ("What was said.", None, 1)
    assert memo.duration == pytest.approx(recordings[0].duration, abs=0.01)
