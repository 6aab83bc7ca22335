"""OpenAI's own Python SDK against the whole stack: only the base URL and the key are ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import AudioResponseFormat
from openai.types.audio import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
    TranscriptionVerbose,
)
from pydantic import BaseModel

from scripts.bench.recordings import sample_call
from scripts.bench.scoring import word_error_rate
from scripts.bench.soak import chaos
from scripts.local.stack import Stack
from scripts.weights import fixture
from tests.e2e.polling import until

MODEL = "tiny.en"
SPOKEN = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country"

NOTHING_HEARD = r"sound|media|audio"


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{stack.url}/v1", api_key=stack.api_key, timeout=300, max_retries=0) as sdk:
        yield sdk


@pytest.fixture(scope="module")
def clip() -> Path:
    """Eleven seconds of Kennedy."""
    return fixture("jfk.wav")


def test_the_simplest_call_gives_the_words(client: OpenAI, clip: Path) -> None:
    """client.audio.transcriptions.create with a file and a model."""
    with clip.open("rb") as file:
        answer = client.audio.transcriptions.create(file=file, model=MODEL)
    assert word_error_rate(SPOKEN, answer.text) <= 0.10
    assert answer.usage is not None and answer.usage.type == "duration"
    assert answer.usage.seconds == pytest.approx(11, abs=0.1)


def test_verbose_json_has_both_granularities(client: OpenAI, clip: Path) -> None:
    """Words and segments with times that lie within the recording."""
    answer = client.audio.transcriptions.create(
        file=clip, model=MODEL, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert isinstance(answer, TranscriptionVerbose)
    assert (answer.language, answer.segments is not None) == ("english", True)
    assert answer.words is not None and len(answer.words) > 15
    assert all(0 <= word.start <= word.end <= answer.duration for word in answer.words)
    assert all(segment.avg_logprob <= 0 for segment in answer.segments or ())


@pytest.mark.parametrize(
    ("name", "kind"),
    [("json", Transcription), ("verbose_json", TranscriptionVerbose), ("diarized_json", TranscriptionDiarized)],
)
def test_an_answer_has_the_sdks_types(
    client: OpenAI, clip: Path, name: AudioResponseFormat, kind: type[BaseModel]
) -> None:
    """What real models find is valid by the SDK's types without being converted, which the SDK itself never checks."""
    with_words = name != "json"
    raw = client.audio.transcriptions.with_raw_response.create(
        file=clip,
        model=MODEL,
        response_format=name,
        timestamp_granularities=["word", "segment"] if with_words else ["segment"],
    )
    kind.model_validate_json(raw.text, strict=True)
    words = [word for segment in json.loads(raw.text).get("segments", ()) for word in segment.get("words", ())]
    assert (name == "diarized_json") == (len(words) > 15)
    assert all(word["end"] >= word["start"] and 0 <= word["score"] <= 1 and word["speaker"] == "A" for word in words)


def test_text_and_subtitles_are_strings(client: OpenAI, clip: Path) -> None:
    """The SDK hands out text, srt and vtt as they are."""
    text = client.audio.transcriptions.create(file=clip, model=MODEL, response_format="text")
    srt = client.audio.transcriptions.create(file=clip, model=MODEL, response_format="srt")
    vtt = client.audio.transcriptions.create(file=clip, model=MODEL, response_format="vtt")
    assert word_error_rate(SPOKEN, text) <= 0.10
    assert srt.startswith("1\n00:00:0")
    assert vtt.startswith("WEBVTT")


def test_a_diarized_stream_says_who_spoke(client: OpenAI) -> None:
    """Deltas, each of which begins a segment, then segments of the speakers A and B, then the whole text."""
    stream = client.audio.transcriptions.create(
        file=sample_call(), model=MODEL, response_format="diarized_json", chunking_strategy="auto", stream=True
    )
    *events, final = stream
    assert isinstance(final, TranscriptionTextDoneEvent)
    assert final.usage is not None and final.usage.type == "tokens" and final.usage.output_tokens > 0
    deltas = [event for event in events if isinstance(event, TranscriptionTextDeltaEvent)]
    assert "".join(event.delta for event in deltas) == final.text
    segments = [event for event in events if isinstance(event, TranscriptionTextSegmentEvent)]
    assert {segment.speaker for segment in segments} == {"A", "B"}
    assert {event.segment_id for event in deltas} <= {segment.id for segment in segments}
    diarized = client.audio.transcriptions.create(file=sample_call(), model=MODEL, response_format="diarized_json")
    assert isinstance(diarized, TranscriptionDiarized)
    assert diarized.text == final.text


def test_the_async_client_works_alike(stack: Stack, clip: Path) -> None:
    """Two calls at once, one of them a stream, say the same; the server-side VAD may be tuned in vain."""

    async def both() -> tuple[str, str]:
        async with AsyncOpenAI(base_url=f"{stack.url}/v1", api_key=stack.api_key, timeout=300) as client:
            stream, plain = await asyncio.gather(
                client.audio.transcriptions.create(
                    file=clip, model=MODEL, stream=True, temperature=0, prompt="Kennedy"
                ),
                client.audio.transcriptions.create(
                    file=clip, model=MODEL, chunking_strategy={"type": "server_vad", "threshold": 0.4}
                ),
            )
            return "".join([event.delta async for event in stream if event.type == "transcript.text.delta"]), plain.text

    streamed, plain = asyncio.run(both())
    assert word_error_rate(SPOKEN, streamed) <= 0.10
    assert word_error_rate(SPOKEN, plain) <= 0.10


def test_a_stream_has_the_log_probabilities_of_its_words(client: OpenAI, clip: Path) -> None:
    """Those of the deltas, one after another, are those of the end."""
    stream = client.audio.transcriptions.create(
        file=clip, model=MODEL, prompt="Washington", include=["logprobs"], stream=True
    )
    *events, final = stream
    assert isinstance(final, TranscriptionTextDoneEvent)
    logprobs = [
        entry.logprob
        for event in events
        if isinstance(event, TranscriptionTextDeltaEvent)
        for entry in event.logprobs or ()
    ]
    assert len(logprobs) > 15
    assert logprobs == [entry.logprob for entry in final.logprobs or ()]


def test_a_translation_is_text(client: OpenAI, clip: Path) -> None:
    """client.audio.translations.create, by the model that stands in for whisper-1, also told what is spoken."""
    assert word_error_rate(SPOKEN, client.audio.translations.create(file=clip, model="whisper-1").text) <= 0.10
    translation = client.audio.translations.create(file=clip, model="whisper-1", extra_body={"language": "en"})
    assert word_error_rate(SPOKEN, translation.text) <= 0.10


def test_models_are_listed(client: OpenAI) -> None:
    """OpenAI's names and ours; one that is not offered is the SDK's NotFoundError."""
    assert {"whisper-1", MODEL} <= {model.id for model in client.models.list()}
    assert client.models.retrieve(MODEL).owned_by == "parley"
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("gpt-5")
    assert refused.value.code == "model_not_found"


def test_errors_are_the_sdks_own(stack: Stack, client: OpenAI, clip: Path) -> None:
    """A wrong key, a wrong value and a recording without sound each raise what the SDK documents."""
    with OpenAI(base_url=f"{stack.url}/v1", api_key="wrong") as stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(file=clip, model=MODEL, language="klingon")
    assert refused.value.param == "language"
    with pytest.raises(openai.BadRequestError) as failed:
        client.audio.transcriptions.create(file=("noise.mp3", b"no sound at all"), model=MODEL)
    assert failed.value.code in ("no_audio", "unsupported_media")
    with pytest.raises(openai.BadRequestError, match=NOTHING_HEARD) as streamed:
        client.audio.transcriptions.create(file=("noise.mp3", b"no sound either"), model=MODEL, stream=True)
    assert streamed.value.param == failed.value.param == "file"
    with pytest.raises(openai.NotFoundError, match="/v1/audio/speech"):
        client.audio.speech.create(input="Hello", model="tts-1", voice="alloy")


def test_a_client_that_hangs_up_finds_its_transcript_later(stack: Stack, http: httpx.Client, clip: Path) -> None:
    """The task goes on after a call of the SDK was given up, and is in the history."""

    def newest() -> str | None:
        items = http.get("/history", params={"limit": 1}).json()["items"]
        return str(items[0]["task_id"]) if items else None

    async def hang_up(before: str | None) -> None:
        async with AsyncOpenAI(base_url=f"{stack.url}/v1", api_key=stack.api_key, timeout=300, max_retries=0) as hasty:
            request = hasty.audio.transcriptions.create(file=clip, model=MODEL, prompt="never asked before")
            asking = asyncio.create_task(request)
            await asyncio.to_thread(until, lambda: newest() != before, "the task is there")
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    frozen = chaos.freeze(stack, "worker-asr")  # else the answer may come before the client hangs up
    assert frozen
    try:
        asyncio.run(hang_up(newest()))
    finally:
        chaos.thaw(frozen)
    task_id = newest()
    until(lambda: http.get(f"/status/{task_id}").json()["status"] == "done", "the task")
    assert word_error_rate(SPOKEN, http.get(f"/result/{task_id}").json()["text"]) <= 0.10
