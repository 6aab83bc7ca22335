"""stream=true: the transcript as server-sent events while it is being made."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

from anyio import to_thread

from api.contracts import openai_answers, openai_errors
from api.contracts.contract_request import ContractRequest
from api.contracts.openai_request import AnswerOptions
from api.waiting import follow
from shared.errors import ParleyError
from shared.transcript import Transcript

HEARTBEAT_S = 10.0
"""Proxies commonly end a connection that is silent for 30 to 60 s."""

HEARTBEAT = ": ping\n\n"
"""A comment: OpenAI's clients read every data line as an event."""

HEADERS = {"X-Accel-Buffering": "no"}
"""nginx would hold the events back."""


async def events(contract: ContractRequest, job_id: uuid.UUID, options: AnswerOptions) -> AsyncIterator[str]:
    """The answer's body. When the client leaves, it ends and the job goes on."""
    text = ""
    try:
        async for news in follow(job_id, contract.caller.id, after=0, heartbeat_s=HEARTBEAT_S, stays=True):
            yield HEARTBEAT  # also the first of all bytes, with which the headers go out
            for segment in news.segments if news else ():
                if piece := _piece(text, segment.segment["text"]):
                    text += piece
                    yield _delta(piece)
        transcript = (await to_thread.run_sync(contract.fetch, job_id)).transcript
    except ParleyError as error:
        yield _data(openai_errors.body(error))
        return
    for event in _ending(transcript, text, options):
        yield event


def _ending(transcript: Transcript, text: str, options: AnswerOptions) -> list[str]:
    """What is left to be said when the transcript is there: all of it, if it was known before."""
    # speech recognition that had to begin anew may have heard otherwise: then the last event alone has the whole text
    rest = transcript.text.removeprefix(text) if transcript.text.startswith(text) else ""
    ending = [_delta(rest)] if rest else []
    if options.format == "diarized_json":
        ending += [_data(event) for event in openai_answers.diarized_segments(transcript)]
    last = {
        "type": "transcript.text.done",
        "text": transcript.text,
        "languages": [{"code": transcript.language}],
        "usage": openai_answers.token_usage(transcript),
    }
    if options.logprobs:
        last["logprobs"] = openai_answers.logprobs(openai_answers.words_of(transcript))
    return [*ending, _data(last), "data: [DONE]\n\n"]


def _piece(before: str, text: str) -> str:
    """A segment's text as it goes on from what was heard."""
    text = text.strip()
    return f" {text}" if before and text else text


def _delta(text: str) -> str:
    return _data({"type": "transcript.text.delta", "delta": text})


def _data(event: dict[str, Any]) -> str:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
