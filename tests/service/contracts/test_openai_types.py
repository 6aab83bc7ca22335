"""What OpenAI's audio API answers, read strictly by the types of OpenAI's own SDK."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from openai.types import Model
from openai.types.audio import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionStreamEvent,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)
from openai.types.shared import ErrorObject
from pydantic import BaseModel, TypeAdapter

from api.contracts import openai_answers
from api.contracts.openai_forms import Task
from api.contracts.openai_request import AnswerOptions
from shared.transcript import Segment, Transcript, Word
from tests.service.contracts.openai_calls import TRANSCRIPTIONS, TRANSLATIONS, ask, events, streamed
from tests.service.gateway import TRANSCRIPT, Caller, Gateway

EVENTS: dict[str, type[BaseModel]] = {
    "transcript.text.delta": TranscriptionTextDeltaEvent,
    "transcript.text.segment": TranscriptionTextSegmentEvent,
    "transcript.text.done": TranscriptionTextDoneEvent,
}
EVENT = TypeAdapter[TranscriptionStreamEvent](TranscriptionStreamEvent)
FILE = {"file": ("call.wav", b"RIFF")}
LOGPROBS = {"include[]": "logprobs"}
GRANULARITIES = {"timestamp_granularities[]": ["word", "segment"]}
WHISPERX = {"words", "word_segments"}


def unknown(value: object) -> set[str]:
    """Names of fields, at any depth, that the SDK's types do not have."""
    if isinstance(value, BaseModel):
        return set(value.model_extra or {}).union(*(unknown(each) for _, each in value))
    return set[str]().union(*map(unknown, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize(
    ("url", "fields", "kind", "more"),
    [
        (TRANSCRIPTIONS, {}, Transcription, set()),
        (TRANSCRIPTIONS, LOGPROBS, Transcription, set()),
        (TRANSCRIPTIONS, {"response_format": "verbose_json"}, TranscriptionVerbose, {"task"}),
        (TRANSCRIPTIONS, {"response_format": "verbose_json", **GRANULARITIES}, TranscriptionVerbose, {"task"}),
        (TRANSCRIPTIONS, {"response_format": "diarized_json"}, TranscriptionDiarized, set()),
        (TRANSCRIPTIONS, {"response_format": "diarized_json", **GRANULARITIES}, TranscriptionDiarized, WHISPERX),
        (TRANSLATIONS, {}, Translation, set()),
        (TRANSLATIONS, {"response_format": "verbose_json"}, TranslationVerbose, {"task"}),
    ],
)
def test_an_answer_is_what_the_sdk_expects(
    caller: Caller, recording: bytes, url: str, fields: dict[str, Any], kind: type[BaseModel], more: set[str]
) -> None:
    """Every field has the SDK's type, an integer is no float; unknown are OpenAI's own `task` and WhisperX's words."""
    instance = kind.model_validate_json(ask(caller, recording, url, **fields).text, strict=True)
    assert unknown(instance) == more


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        ({}, set()),
        (LOGPROBS, set()),
        ({"response_format": "text"}, set()),
        ({"response_format": "diarized_json", **LOGPROBS}, set()),
        ({"response_format": "diarized_json", **GRANULARITIES}, {"words"}),
    ],
)
def test_every_event_is_what_the_sdk_expects(
    gateway: Gateway, caller: Caller, recording: bytes, fields: dict[str, Any], more: set[str]
) -> None:
    """Told at once or all at the end: by its fields alone an event is of the type that it names, which has them all."""
    for content in (recording, os.urandom(64)):
        stream = streamed(gateway, caller, content, **fields)
        assert stream[-1]["type"] == "transcript.text.done"
        instances = [EVENT.validate_python(event, strict=True) for event in stream]
        assert [type(event) for event in instances] == [EVENTS[event["type"]] for event in stream]
        assert set[str]().union(*map(unknown, instances)) == more


ODD = {
    "silence": replace(TRANSCRIPT, duration=7.0, segments=(), speakers=(), turns=(), language="en"),
    "nobody": replace(TRANSCRIPT, segments=(Segment(0, 0, 1, " Who?", 0.5, None, (Word(0, 1, " Who?", 0.0),)),)),
    "no words": replace(TRANSCRIPT, segments=(Segment(0, 0, 1, "", 1.0), Segment(1, 1, 2, " Good day.", 0.0, "spk_1"))),
}


@pytest.mark.parametrize("transcript", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize(
    ("task", "name", "kind"),
    [
        ("transcribe", "json", Transcription),
        ("transcribe", "verbose_json", TranscriptionVerbose),
        ("transcribe", "diarized_json", TranscriptionDiarized),
        ("translate", "json", Translation),
        ("translate", "verbose_json", TranslationVerbose),
    ],
)
def test_an_odd_transcript_is_what_the_sdk_expects(
    transcript: Transcript, task: Task, name: str, kind: type[BaseModel]
) -> None:
    """Nothing heard, nobody to whom words are given, a segment without words or text: no field is null or missing."""
    options = AnswerOptions(task, name, 0.0, words=True, logprobs=task == "transcribe")
    text = openai_answers.body(transcript, options)
    assert unknown(kind.model_validate_json(text, strict=True)) <= WHISPERX | {"task"}
    assert "null" not in text


@pytest.mark.parametrize(
    ("status", "path", "request_"),
    [
        (400, TRANSCRIPTIONS, {"files": FILE, "data": {"temperature": "2"}}),
        (400, TRANSCRIPTIONS, {"files": FILE, "data": {"colour": "red"}}),
        (400, TRANSCRIPTIONS, {"files": FILE, "data": {"known_speaker_names[]": "Ann"}}),
        (400, TRANSLATIONS, {"files": {"file": b""}}),
        (400, TRANSLATIONS, {"json": {"model": "whisper-1"}}),
        (404, TRANSCRIPTIONS, {"files": FILE, "data": {"model": "gpt-5"}}),
        (404, "/v1/audio/speech", {"json": {"model": "tts-1"}}),
        (405, "/v1/models", {}),
        (401, TRANSCRIPTIONS, {"files": FILE, "headers": {"Authorization": "Bearer wrong"}}),
    ],
)
def test_an_error_is_what_the_sdk_expects(caller: Caller, status: int, path: str, request_: dict[str, Any]) -> None:
    """The object has the fields of the SDK's type, all of them texts or null, and nothing is beside it."""
    answer = caller.http.post(path, **request_)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    assert unknown(ErrorObject.model_validate(answer.json()["error"], strict=True)) == set()


def test_a_stream_counts_tokens(caller: Caller, recording: bytes) -> None:
    """Two seconds are twenty tokens of audio, and the three words one each: whole numbers that add up."""
    *_, end = events(ask(caller, recording, stream="true"))
    assert end["usage"] == {
        "type": "tokens",
        "input_tokens": 20,
        "input_token_details": {"audio_tokens": 20, "text_tokens": 0},
        "output_tokens": 3,
        "total_tokens": 23,
    }


def test_models_are_what_the_sdk_expects(caller: Caller) -> None:
    """Each entry of the list is a model with an owner and a time that is no 1970."""
    listed = caller.http.get("/v1/models").json()["data"]
    assert [unknown(Model.model_validate(entry, strict=True)) for entry in listed] == [set()] * len(listed)
    for entry in listed:
        assert caller.http.get(f"/v1/models/{entry['id']}").json() == entry
    assert all(datetime.fromtimestamp(entry["created"], UTC).year >= 2022 for entry in listed)
