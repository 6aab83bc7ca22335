"""What OpenAI's audio API answers, read strictly by the types of OpenAI's own SDK."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from openai.types import Model
from openai.types.audio import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)
from pydantic import BaseModel

from tests.service.contracts.openai_calls import TRANSCRIPTIONS, TRANSLATIONS, ask, events
from tests.service.gateway import Caller

EVENTS: dict[str, type[BaseModel]] = {
    "transcript.text.delta": TranscriptionTextDeltaEvent,
    "transcript.text.segment": TranscriptionTextSegmentEvent,
    "transcript.text.done": TranscriptionTextDoneEvent,
}
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
    caller: Caller, known: bytes, url: str, fields: dict[str, Any], kind: type[BaseModel], more: set[str]
) -> None:
    """Every field has the SDK's type, an integer is no float; unknown are OpenAI's own `task` and WhisperX's words."""
    read = kind.model_validate_json(ask(caller, known, url, **fields).text, strict=True)
    assert unknown(read) == more


@pytest.mark.parametrize("fields", [{}, LOGPROBS, {"response_format": "diarized_json", **LOGPROBS}])
def test_every_event_is_what_the_sdk_expects(caller: Caller, known: bytes, fields: dict[str, Any]) -> None:
    """Deltas, segments and the end of a stream have no field that the SDK lacks, and none of another type."""
    found = events(ask(caller, known, stream="true", **fields))
    assert found[-1]["type"] == "transcript.text.done"
    for event in found:
        assert unknown(EVENTS[event["type"]].model_validate(event, strict=True)) == set()


def test_a_stream_counts_tokens(caller: Caller, known: bytes) -> None:
    """Two seconds are twenty tokens of audio, and the three words one each: whole numbers that add up."""
    *_, done = events(ask(caller, known, stream="true"))
    assert done["usage"] == {
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
    assert all(datetime.fromtimestamp(entry["created"], UTC).year >= 2022 for entry in listed)
