"""An answer that is waited for: headers before anybody gives up, then white space until it is there.

Node's fetch gives up after 300 s without headers, and again after 300 s without a byte of the body; many proxies do
after 60. Whoever gives up sends the recording again.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from time import monotonic

from anyio import to_thread
from fastapi.responses import StreamingResponse
from starlette.types import Send

from api.contracts.contract_request import ContractRequest, Finished
from api.waiting import until_ended
from shared.errors import ParleyError
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

SPACE_S = 10.0

OPENINGS = {"text": "\n", "txt": "\n", "srt": "\n", "vtt": "WEBVTT\n", "tsv": ""}
"""What may be sent before the answer is known, in formats that are not JSON: blank lines, which WebVTT allows behind
its first line only, and a table nowhere."""

JSON_OPENING = " "

HEADERS = {"X-Accel-Buffering": "no"}
"""nginx would hold the white space back."""


async def until_headers(contract: ContractRequest, job_id: uuid.UUID) -> Finished | None:
    """The job when it is done; None after `CONTRACT_HEADERS_S`, when the answer has to begin without it.

    Raises the error that ended the job, and NotReady when `CONTRACT_WAIT_S` is no longer than that.
    """
    config = contract.config
    if config.contract_wait_s <= config.contract_headers_s:
        return await contract.finished(job_id)
    if await contract.until_ended(job_id, config.contract_headers_s):
        return await to_thread.run_sync(contract.fetch, job_id)
    return None


class LateAnswer:
    """The body of an answer that has begun without the job: what comes before its end, and how the job ends."""

    def __init__(self, contract: ContractRequest, job_id: uuid.UUID, format_name: str) -> None:
        config = contract.config
        self._contract, self._job_id = contract, job_id
        self._deadline = monotonic() + config.contract_wait_s - config.contract_headers_s
        self._opening = OPENINGS.get(format_name, JSON_OPENING)

    async def white_space(self) -> AsyncIterator[str]:
        """Something every SPACE_S until the job has ended. Raises NotReady after `CONTRACT_WAIT_S`."""
        yield self._opening  # with which the headers go out
        while not await self._ends():
            if monotonic() >= self._deadline:
                raise self._contract.overdue(self._job_id)
            yield self._opening[-1:]

    async def finished(self) -> Finished:
        """The job, which has ended. Raises the error that ended it."""
        return await to_thread.run_sync(self._contract.fetch, self._job_id)

    def rest(self, body: str) -> str:
        """What is left of the whole body behind the white space."""
        return body.removeprefix(self._opening)

    async def _ends(self) -> bool:
        timeout_s = min(SPACE_S, self._deadline - monotonic())
        return await until_ended(self._job_id, self._contract.caller.id, timeout_s, stays=True) is not None


class BreakableResponse(StreamingResponse):
    """A body that breaks off where its iterator raises a ParleyError.

    HTTP has no other way to take a status 200 back: whoever reads the body finds its end missing, and the connection
    closed. Only HTTP/1.0 cannot tell that from an end.
    """

    async def stream_response(self, send: Send) -> None:
        """Send what there is."""
        try:
            await super().stream_response(send)
        except ParleyError as error:
            log.warning("answer_broken_off", code=error.code)
