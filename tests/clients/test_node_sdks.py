"""OpenAI's SDK for Node and the AI SDK, by their own code: only the base URL and the key are ours."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.answers import is_what_was_said
from tests.clients.conftest import Said

pytestmark = pytest.mark.timeout(1200)  # the first test of a driver installs its client and runs all of it
SaidBy = Callable[[str], tuple[Said, list[int]]]


@pytest.fixture(scope="module")
def openai(said_by: SaidBy) -> Said:
    return said_by("openai_node.cjs")[0]


@pytest.fixture(scope="module")
def ai_sdk(said_by: SaidBy) -> Said:
    return said_by("ai_sdk.cjs")[0]


def test_openai_gives_the_words_in_every_format(openai: Said) -> None:
    """json, verbose_json with both granularities, srt, vtt, and translations."""
    assert is_what_was_said(openai["text"])
    assert is_what_was_said(openai["translations"])
    verbose = openai["verbose_json with words and segments"]
    assert is_what_was_said(verbose["text"])
    assert (verbose["language"], verbose["usage"]["type"]) == ("english", "duration")
    assert len(verbose["words"]) > 15
    assert all(0 <= word["start"] <= word["end"] <= verbose["duration"] for word in verbose["words"])
    assert is_what_was_said(" ".join(segment["text"] for segment in verbose["segments"]))
    srt, vtt = openai["srt and vtt"]
    assert (srt[:10], vtt[:6]) == ("1\n00:00:00", "WEBVTT")


def test_openai_tells_the_speakers(openai: Said) -> None:
    """diarized_json; in its stream each delta begins a segment, and the segments have the same speaker."""
    diarized = openai["speakers"]
    assert is_what_was_said(diarized["text"])
    assert {segment["speaker"] for segment in diarized["segments"]} == {"A"}
    *events, final = openai["streams with speakers"]
    assert is_what_was_said(final["text"])
    segments = {event["id"]: event for event in events if event["type"] == "transcript.text.segment"}
    assert {segment["speaker"] for segment in segments.values()} == {"A"}
    deltas = [event for event in events if event["type"] == "transcript.text.delta"]
    assert deltas and {event["segment_id"] for event in deltas} <= segments.keys()


def test_openai_streams(openai: Said) -> None:
    """The deltas and their log probabilities add up to those of the end, which counts tokens."""
    *deltas, final = openai["streams"]
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert "".join(event["delta"] for event in deltas) == final["text"]
    assert [entry for event in deltas for entry in event["logprobs"]] == final["logprobs"]
    assert len(final["logprobs"]) > 15
    usage = final["usage"]
    assert (usage["type"], usage["total_tokens"]) == ("tokens", usage["input_tokens"] + usage["output_tokens"])
    assert is_what_was_said(final["text"])


def test_openai_lists_the_models(openai: Said) -> None:
    """OpenAI's names and ours, with a date that JavaScript can show."""
    assert {"whisper-1", "base"} <= {model["id"] for model in openai["models"]}
    assert all(model["created"] > 1_600_000_000 for model in openai["models"])


@pytest.mark.parametrize(
    ("case", "name", "status", "code", "param"),
    [
        ("key", "AuthenticationError", 401, "invalid_api_key", None),
        ("field", "BadRequestError", 400, "invalid_request", "language"),
        ("voices", "BadRequestError", 400, "invalid_request", "known_speaker_names"),
        ("file", "BadRequestError", 400, "no_audio", "file"),
        ("stream", "BadRequestError", 400, "no_audio", "file"),
        ("model", "NotFoundError", 404, "model_not_found", None),
        ("path", "NotFoundError", 404, "not_found", None),
    ],
)
def test_openai_raises_its_own_errors(
    openai: Said, case: str, name: str, status: int, code: str, param: str | None
) -> None:
    """Its class for the status, with our code, the field and a message."""
    error = openai["typed errors"][case]
    assert (error["name"], error["status"], error["code"]) == (name, status, code)
    assert error["message"] > str(status)
    if param:
        assert error["param"] == param


def test_openai_sends_again_what_may_be_sent_again(said_by: SaidBy) -> None:
    """After a 503 with Retry-After the recording is sent once more; one that has no sound is sent once."""
    report, statuses = said_by("openai_node.cjs")
    assert is_what_was_said(report["retries"]["text"])
    assert report["retries"]["failure"]["status"] == 400
    assert statuses == [503, 200, 400]


def test_the_ai_sdk_gives_words_and_segments(ai_sdk: Said) -> None:
    """Text alone; with an option whisper-1's segments, and the whole length."""
    assert is_what_was_said(ai_sdk["text"]["text"])
    verbose = ai_sdk["segments with their times"]
    assert is_what_was_said(" ".join(segment["text"] for segment in verbose["segments"]))
    assert (verbose["language"], math.floor(verbose["durationInSeconds"]), verbose["warnings"]) == ("en", 11, [])
    assert all(0 <= each["startSecond"] <= each["endSecond"] <= 11 for each in verbose["segments"])


def test_the_ai_sdk_may_give_options_to_every_model(ai_sdk: Said) -> None:
    """It sends timestamp_granularities[]=segment with json then; the length is that of `usage`."""
    transcript: dict[str, Any] = ai_sdk["gpt-4o-transcribe with options"]
    assert is_what_was_said(transcript["text"])
    assert transcript["durationInSeconds"] == pytest.approx(11, abs=0.1)


def test_the_ai_sdk_raises_its_own_errors(ai_sdk: Said) -> None:
    """APICallError with the message of ours; neither is tried again."""
    key, field = ai_sdk["typed errors"]["key"], ai_sdk["typed errors"]["field"]
    assert (key["name"], key["status"], key["retryable"]) == ("AI_APICallError", 401, False)
    assert (field["name"], field["status"], field["retryable"]) == ("AI_APICallError", 400, False)
    assert field["message"].startswith("language ")


def test_the_ai_sdk_sends_again_what_may_be_sent_again(said_by: SaidBy) -> None:
    """After a 503 with Retry-After."""
    report, statuses = said_by("ai_sdk.cjs")
    assert is_what_was_said(report["retries"]["text"])
    assert statuses == [503, 200]
