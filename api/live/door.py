"""A socket from its handshake to its close, whatever is spoken on it: what goes wrong, and how the client is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import Response, WebSocket
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from api import errors
from api.live import messages
from api.live.conversation import Restarting
from api.live.line import LineClosed
from api.middleware import request_id_of
from shared.errors import ParleyError, UnexpectedError
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

CLOSE_S = 10.0
"""How long the last message may take."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a protocol says that something is wrong.

    refusal : the answer to a handshake
    problem : the last message before the close
    """

    refusal: Callable[[ParleyError, str], Response] = errors.response
    problem: Callable[[ParleyError, str], dict[str, Any]] = messages.problem


async def hold_open(websocket: WebSocket, serve: Callable[[WebSocket, str], Awaitable[None]], manner: Manner) -> None:
    """Serve a socket, under its request id, to its end, and close it. Nothing is raised."""
    request_id, began = request_id_of(websocket.headers), time.monotonic()
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        code, problem = messages.NORMAL, None
        try:
            await serve(websocket, request_id)
        except (LineClosed, WebSocketDisconnect, ClientDisconnected):
            code = 0
        except Restarting:
            code = messages.RESTART
        except ParleyError as error:
            code, problem = messages.close_code(error), error
        except Exception:  # a fault of ours: logged here, told to nobody
            log.exception("unexpected_error", path=websocket.url.path)
            code = messages.UNEXPECTED
            problem = UnexpectedError("Something went wrong; the log has the details under this request id.")
        log.info("live_closed", code=code, error=problem and problem.code, seconds=round(time.monotonic() - began, 1))
        with suppress(RuntimeError, OSError, TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_S):  # whoever reads nothing is not waited for
                await _close(websocket, request_id, code, problem, manner)


async def _close(websocket: WebSocket, request_id: str, code: int, problem: ParleyError | None, manner: Manner) -> None:
    if not code:
        return
    if websocket.application_state.name == "CONNECTING":  # before the handshake it is an answer of HTTP
        if problem:
            await websocket.send_denial_response(manner.refusal(problem, request_id))
        return
    if problem:
        await websocket.send_json(manner.problem(problem, request_id))
    await websocket.close(code, problem.code if problem else None)
