"""stream=true: the transcript as server-sent events while it is being made."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import count
from typing import Any

from anyio import to_thread

from api.contracts import openai_answers, openai_errors
from api.contracts.contract_request import ContractRequest
from api.contracts.openai_request import AnswerOptions
from api.waiting import follow, until_probed
from shared.errors import ParleyError
from shared.states import JobState
from shared.transcript import Transcript

PROBE_S = 5.0
"""How long the headers of a stream wait at most."""

HEARTBEAT_S = 10.0
"""Proxies commonly end a connection that is silent for 30 to 60 s."""

HEARTBEAT = ": ping\n\n"
"""A comment: OpenAI's clients read every data line as an event."""

HEADERS = {"X-Accel-Buffering": "no"}
"""nginx would hold the events back."""


async def check(contract: ContractRequest, job_id: uuid.UUID) -> None:
    """Hold the headers back until the recording was looked into, so that one without sound is an error of its own.

    Raises the error that ended the job within PROBE_S. Later ones are events.
    """
    state = await until_probed(job_id, contract.caller.id, PROBE_S)
    if state not in (None, JobState.DONE):
        await to_thread.run_sync(contract.fetch, job_id)


async def events(contract: ContractRequest, job_id: uuid.UUID, options: AnswerOptions) -> AsyncIterator[str]:
    """The answer's body. When the client leaves, it ends and the job goes on."""
    deltas = _Deltas(options)
    try:
        async for news in follow(job_id, contract.caller.id, after=0, heartbeat_s=HEARTBEAT_S, stays=True):
            yield HEARTBEAT  # also the first of all bytes, with which the headers go out
            for segment in news.segments if news else ():
                if text := segment.segment["text"].strip():
                    yield _data(deltas.delta(f" {text}" if deltas.text else text, segment.words))
        transcript = (await to_thread.run_sync(contract.fetch, job_id)).transcript
    except ParleyError as error:
        yield _data(openai_errors.body(error))
        return
    for event in _ending(transcript, deltas, options):
        yield _data(event)
    yield "data: [DONE]\n\n"


class _Deltas:
    """What a stream has told: its text, and the id of the segment that begins at a place in it."""

    def __init__(self, options: AnswerOptions) -> None:
        self.text = ""
        self._options = options
        self._ids: dict[int, str] = {}

    def delta(self, piece: str, words: Iterable[tuple[str, float]]) -> dict[str, Any]:
        """The event for what is heard next, with the words in it and their confidence."""
        event: dict[str, Any] = {"type": "transcript.text.delta", "delta": piece}
        if self._options.logprobs:
            event["logprobs"] = openai_answers.logprobs(words)
        if self._options.format == "diarized_json":
            start = len(self.text) + len(piece) - len(piece.lstrip())
            self._ids[start] = event["segment_id"] = openai_answers.segment_id(len(self._ids))
        self.text += piece
        return event

    def segment_ids(self, places: Iterable[int]) -> list[str]:
        """The ids of the segments that begin at these places, each once; new ones where no delta began."""
        new = count(len(self._ids))
        return [self._ids.pop(place, "") or openai_answers.segment_id(next(new)) for place in places]


def _ending(transcript: Transcript, deltas: _Deltas, options: AnswerOptions) -> Iterator[dict[str, Any]]:
    """What is left to be said when the transcript is there: all of it, if it was known before."""
    # speech recognition that had to begin anew may have heard otherwise: then the last event alone has the whole text
    goes_on = transcript.text.startswith(deltas.text)
    places = _places(transcript)
    if goes_on:
        for start, segment in zip(places, transcript.segments, strict=True):
            if piece := transcript.text[len(deltas.text) : start + len(segment.text.strip())]:
                yield deltas.delta(piece, openai_answers.confidences(segment.words))
    if options.format == "diarized_json":
        ids = deltas.segment_ids(places if goes_on else [-1] * len(places))
        yield from openai_answers.diarized_segments(transcript, ids, words=options.words)
    last = {
        "type": "transcript.text.done",
        "text": transcript.text,
        "languages": [{"code": transcript.language}],
        "usage": openai_answers.token_usage(transcript),
    }
    if options.logprobs:
        words = openai_answers.words_of(transcript)
        last["logprobs"] = openai_answers.logprobs(openai_answers.confidences(words))
    yield last


def _places(transcript: Transcript) -> list[int]:
    """Where in the text each segment begins."""
    places, end = list[int](), 0
    for segment in transcript.segments:
        text = segment.text.strip()
        places.append(end + 1 if end and text else end)
        end = places[-1] + len(text)
    return places


def _data(event: dict[str, Any]) -> str:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
