"""Deepgram's live API by its own SDK."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from scripts.bench.scoring import word_error_rate
from tests.clients.written import clients
from tests.service.live.client import pcm
from tests.service.live.conftest import Rig
from tests.service.live.test_realtime import READING, WRONG, driven, reference

TURNS = tuple(pcm(name) for name in ("librivox-0870.wav", "jfk.wav"))
ALL = "interim and final results, words, SpeechStarted, UtteranceEnd, Metadata"


@pytest.fixture(scope="module")
def speech() -> bytes:
    return pcm(READING, pause_s=0)


@pytest.fixture(scope="module")
def sessions(rig: Rig, speech: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = Path(tmp_path_factory.mktemp("deepgram"))
    sound, turns = folder / "speech.pcm", folder / "turns.pcm"
    sound.write_bytes(speech)
    turns.write_bytes(b"".join(TURNS))
    env = {"PARLEY_WS": rig.stack.url.replace("http", "ws", 1), "DEEPGRAM_API_KEY": rig.stack.api_key}
    return driven("deepgram_client.py", [sound, turns], env)


def of(messages: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [message for message in messages if message["type"] == kind]


def best(results: dict[str, Any]) -> dict[str, Any]:
    alternative: dict[str, Any] = results["channel"]["alternatives"][0]
    return alternative


def test_the_sdk_is_told_what_is_said(sessions: dict[str, Any]) -> None:
    """Interim results, then final ones whose words have their times; an end of each utterance."""
    messages = sessions[ALL]
    results = of(messages, "Results")
    assert any(not each["is_final"] and best(each)["transcript"] for each in results)
    finals = [each for each in results if each["is_final"]]
    assert all(each["speech_final"] and not each["from_finalize"] for each in finals)
    assert word_error_rate(reference(), " ".join(best(each)["transcript"] for each in finals)) < WRONG
    words = [word for each in finals for word in best(each)["words"]]
    assert all(word["start"] <= word["end"] and 0 < word["confidence"] <= 1 for word in words)
    assert [word["start"] for word in words] == sorted(word["start"] for word in words)
    assert of(messages, "SpeechStarted")
    assert of(messages, "UtteranceEnd")[-1]["last_word_end"] == words[-1]["end"]


def test_the_last_message_says_what_it_was(rig: Rig, sessions: dict[str, Any], speech: bytes) -> None:
    """Metadata: length, digest, what was otherwise than asked; its request is the task, which is transcribed."""
    metadata = sessions[ALL][-1]
    assert metadata["type"] == "Metadata"
    sound = speech + bytes(2 * 16_000 * 2)
    assert metadata["duration"] == pytest.approx(len(sound) / 32_000, abs=0.01)
    assert metadata["sha256"] == hashlib.sha256(sound).hexdigest()
    assert any(notice.startswith("model: nova-3 is answered by tiny.en") for notice in metadata["notices"])
    assert word_error_rate(reference(), rig.transcript(metadata["request_id"])) < WRONG
    assert rig.recording(metadata["request_id"]) == sound


def test_finalize_says_what_was_said_so_far(sessions: dict[str, Any]) -> None:
    """In the middle of a sentence; without interim results there are final ones alone."""
    messages = sessions["KeepAlive, Finalize, CloseStream"]
    results = of(messages, "Results")
    assert all(each["is_final"] for each in results)
    assert sum(each["from_finalize"] for each in results) == 1
    assert not next(each for each in results if each["from_finalize"])["speech_final"]
    assert messages[-1]["type"] == "Metadata"


def test_words_name_who_says_them(sessions: dict[str, Any]) -> None:
    """By a number from 0 on, where the speaker is known."""
    words = [word for each in of(sessions["diarize"], "Results") for word in best(each)["words"]]
    turn_s = len(TURNS[0]) / 32_000
    assert {(word["start"] > turn_s, word["speaker"]) for word in words if word["speaker"] is not None} == {
        (False, 0),
        (True, 1),
    }


def test_the_sdk_raises_its_own_errors(sessions: dict[str, Any]) -> None:
    """By the status of the handshake."""
    assert sessions["typed errors"] == {"key": {"status": 401}, "option": {"status": 400}}


def test_the_page_lists_what_was_tried(sessions: dict[str, Any]) -> None:
    """All of it, in its words."""
    (client,) = [each for each in clients() if each.package == "pypi:deepgram-sdk"]
    assert set(client.works) == sessions.keys()
