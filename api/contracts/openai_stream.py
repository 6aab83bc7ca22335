"""stream=true: the transcript as server-sent events while it is being made."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

from api.contracts import openai_answers, openai_errors
from api.contracts.desk import Desk
from api.contracts.openai_request import Wanted
from shared.errors import ParleyError

HEARTBEAT_S = 10.0
"""Proxies commonly drop a connection after 60 s of silence, some after 30 s."""

HEARTBEAT = ": ping\n\n"
"""A comment: OpenAI's clients read every data line as an event."""


async def events(desk: Desk, job_id: uuid.UUID, wanted: Wanted) -> AsyncIterator[str]:
    """The answer's body. When the client leaves, it ends and the job goes on."""
    yield HEARTBEAT  # the headers go out with the first bytes
    waiting = asyncio.ensure_future(desk.finished(job_id))
    try:
        while not (await asyncio.wait({waiting}, timeout=HEARTBEAT_S))[0]:
            yield HEARTBEAT
        transcript = waiting.result().transcript
    except ParleyError as error:
        yield _data(openai_errors.body(error))
        return
    finally:
        waiting.cancel()
    for place, segment in enumerate(transcript.segments):
        delta: dict[str, Any] = {"type": "transcript.text.delta", "delta": " " * bool(place) + segment.text.strip()}
        if wanted.logprobs:
            delta["logprobs"] = openai_answers.logprobs(segment.words)
        yield _data(delta)
    if wanted.format == "diarized_json":
        for event in openai_answers.diarized_segments(transcript):
            yield _data(event)
    done = {
        "type": "transcript.text.done",
        "text": transcript.text,
        "languages": [{"code": transcript.language}],
        "usage": openai_answers.usage(transcript),
    }
    if wanted.logprobs:
        done["logprobs"] = openai_answers.logprobs(openai_answers.words_of(transcript))
    yield _data(done)
    yield "data: [DONE]\n\n"


def _data(event: dict[str, Any]) -> str:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
