"""Parley's HTTP API for somebody who waits for an answer: a task is submitted, followed and fetched."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from cli import VERSION
from cli.connection import BUSY, body_of, is_loopback, refusal, retry_after_s
from cli.failures import Failure, Refused, Unreachable

TIMEOUT = httpx.Timeout(30, connect=5)

EVENTS_TIMEOUT = httpx.Timeout(30, connect=5)
"""Events have a heartbeat every 10 s."""

PATIENCE_S = 15.0
"""How long a server that restarts in the middle of a task is asked again."""

PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class Spoken:
    """A transcript."""

    task_id: str
    text: str
    language: str | None


class Gateway:
    """One Parley and one API key. Methods raise Refused, NotAccepted and Unreachable."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        headers = {"User-Agent": f"parley-wyoming/{VERSION}"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._http = httpx.AsyncClient(
            headers=headers,
            timeout=TIMEOUT,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            trust_env=not is_loopback(url),
        )
        self._farewells: set[asyncio.Task[None]] = set()

    async def close(self, patience_s: float) -> None:
        """Cancel abandoned tasks, for `patience_s` at most."""
        if self._farewells:
            _, late = await asyncio.wait(self._farewells, timeout=patience_s)
            for farewell in late:
                farewell.cancel()
        await self._http.aclose()

    async def models(self) -> dict[str, Any]:
        """The body of GET /models."""
        return body_of(await self._send("GET", "/models"))

    async def transcribe(self, wav: io.BytesIO, fields: Mapping[str, str]) -> Spoken:
        """What was said. A task that nobody waits for any more, as this was cancelled or failed, is cancelled.

        Raises Failure with the error that ended the task as well.
        """
        submission = asyncio.create_task(self._submit(wav, fields))
        try:
            task = await asyncio.shield(submission)
            task_id = str(task["task_id"])
            if task["status"] != "done":
                await self._follow(task_id)
            transcript = body_of(await self._send("GET", f"/result/{task_id}", params={"format": "json"}))
        except BaseException:
            self._in_background(self._abandon(submission))
            raise
        language = transcript.get("language")
        return Spoken(task_id, str(transcript.get("text") or "").strip(), str(language) if language else None)

    async def _submit(self, wav: io.BytesIO, fields: Mapping[str, str]) -> dict[str, Any]:
        def form() -> dict[str, Any]:
            wav.seek(0)
            return {"data": fields, "files": {"file": ("voice.wav", wav, "audio/wav")}}

        # the key makes one task of a request that has to be sent twice
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return body_of(await self._send("POST", "/transcribe", request=form, headers=headers))

    async def _follow(self, task_id: str) -> None:
        """Returns when the task is done. The server tells: nothing is polled."""
        away = _Away()
        while True:
            try:
                async with self._http.stream(
                    "GET",
                    f"{self.url}/tasks/{task_id}/events",
                    headers={"Accept": "application/x-ndjson"},
                    timeout=EVENTS_TIMEOUT,
                ) as response:
                    if not response.is_success:
                        await response.aread()
                        raise refusal(response)
                    async for line in response.aiter_lines():
                        away.is_over()
                        event = json.loads(line)
                        if event.get("id") == "end":
                            _check_end(event)
                            return
            except httpx.TransportError as error:
                await away.bear(self._unreachable(error))
            except ValueError as error:  # a line that is no JSON
                raise Unreachable(f"{self.url} answers, but not as Parley does.") from error
            except Refused as refused:
                if refused.status not in BUSY:
                    raise
                await away.bear(refused)
            else:
                await away.bear(Unreachable(f"{self.url} ended the events of a task before the task ended."))

    async def _abandon(self, submission: asyncio.Task[dict[str, Any]]) -> None:
        with suppress(Failure):  # nobody is there to be told
            task = await submission
            if task["status"] != "done":
                await self._send("POST", f"/tasks/{task['task_id']}/cancel")

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        farewell = asyncio.create_task(work)
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        request: Callable[[], dict[str, Any]] = dict,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """All that are sent here may be sent twice."""
        for is_last in (False, True):
            try:
                response = await self._http.request(
                    method, f"{self.url}{path}", headers=headers, params=params, **request()
                )
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                # the server had just closed an idle connection
                if is_last:
                    raise self._unreachable(error) from error
            except httpx.TransportError as error:
                raise self._unreachable(error) from error
            except (httpx.InvalidURL, UnicodeError) as error:
                raise Unreachable(f"{self.url} is not the address of a server: {error}.") from error
            else:
                if not response.is_success:
                    raise _with_pause(refusal(response), retry_after_s(response))
                return response
        raise AssertionError

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(f"{self.url} does not answer ({str(error) or type(error).__name__}).")


class _Away:
    """A server that does not answer at present."""

    def __init__(self) -> None:
        self._since: float | None = None

    def is_over(self) -> None:
        self._since = None

    async def bear(self, failure: Failure) -> None:
        """Wait a moment; raises the failure when it lasts too long."""
        now = asyncio.get_running_loop().time()
        self._since = self._since or now
        if now - self._since > PATIENCE_S:
            raise failure
        await asyncio.sleep(PAUSE_S)


def _check_end(event: Mapping[str, Any]) -> None:
    if event.get("event") == "deleted":
        raise Failure("deleted", "The task was deleted on the server.")
    if event.get("status") != "done":
        error = event.get("error") or {}
        code = str(error.get("code") or event.get("status"))
        raise Failure(code, str(error.get("message") or "The task did not end with a transcript."))


def _with_pause(refused: Refused, after_s: float) -> Refused:
    """With the Retry-After of the server in its words: the protocol has no other place for it."""
    if after_s:
        refused.message += f" Try again in {after_s:g} s."
    return refused
