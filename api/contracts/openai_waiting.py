"""An answer that is waited for: headers before anybody gives up, then white space until it is there.

Node's fetch gives up after 300 s without headers, and again after 300 s without a byte of the body; many proxies do
after 60. Whoever gives up sends the recording again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from time import monotonic

from anyio import to_thread
from fastapi import Response
from fastapi.responses import StreamingResponse

from api.contracts import openai_answers, openai_errors
from api.contracts.contract_request import ContractRequest
from api.contracts.openai_request import AnswerOptions
from api.waiting import until_ended
from shared.errors import ParleyError

SPACE_S = 10.0

OPENINGS = {"text": "\n", "srt": "\n", "vtt": "WEBVTT\n"}
"""What may be sent before the answer is known, in formats that are not JSON: blank lines, which WebVTT allows behind
its first line only."""


async def answer(
    contract: ContractRequest, job_id: uuid.UUID, options: AnswerOptions, headers: Mapping[str, str]
) -> Response:
    """The transcript when the job is done. After `CONTRACT_HEADERS_S` it begins without it, and can only be a 200.

    Raises the error that ended the job before, and NotReady when `CONTRACT_WAIT_S` is no longer than that.
    """
    started = monotonic()
    media_type = "text/plain" if options.format in OPENINGS else "application/json"
    if contract.config.contract_wait_s <= contract.config.contract_headers_s:
        transcript = (await contract.finished(job_id)).transcript
    elif await contract.until_ended(job_id, contract.config.contract_headers_s):
        transcript = (await to_thread.run_sync(contract.fetch, job_id)).transcript
    else:
        late = _late(contract, job_id, options, started + contract.config.contract_wait_s)
        return StreamingResponse(late, media_type=media_type, headers={**headers, "X-Accel-Buffering": "no"})
    # text/plain also for subtitles, as OpenAI answers
    return Response(openai_answers.body(transcript, options), media_type=media_type, headers=dict(headers))


async def _late(
    contract: ContractRequest, job_id: uuid.UUID, options: AnswerOptions, deadline: float
) -> AsyncIterator[str]:
    """The body. An error is OpenAI's object, whatever the format."""
    opening = OPENINGS.get(options.format, " ")
    yield opening  # with which the headers go out
    try:
        while not await until_ended(job_id, contract.caller.id, min(SPACE_S, deadline - monotonic()), stays=True):
            if monotonic() >= deadline:
                raise contract.overdue(job_id)
            yield opening[-1]
        transcript = (await to_thread.run_sync(contract.fetch, job_id)).transcript
    except ParleyError as error:
        yield json.dumps(openai_errors.body(error), ensure_ascii=False)
    else:
        yield openai_answers.body(transcript, options).removeprefix(opening)
