"""What a client asks for with the address of the socket, and with which key."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import WebSocket
from pydantic import Field, model_validator
from starlette.requests import HTTPConnection

from api.auth import key_of
from api.bodies.submission import Parameters
from api.intake import parameters
from api.intake.parameters import JobSpec
from shared.config import Settings
from shared.errors import InvalidRequest, NotFound
from shared.live.sessions import CONTAINER

MAX_MESSAGE_BYTES = 1024**2
"""Ten seconds of the best sound there is. Longer messages close the socket with 1009."""

PROTOCOL = "parley.live"
UNSTORABLE = re.compile("[\0\ud800-\udfff]")

KEY_PROTOCOL = re.compile(r"parley\.key\.([A-Za-z0-9_-]{1,128})")
"""How a browser sends its key, which cannot set headers: `new WebSocket(url, ["parley.live", "parley.key.KEY"])`."""


class Stream(Parameters):
    """A new session, or with `session` one that goes on behind the frame `seq` and the event `after`."""

    encoding: Literal["pcm16", "container"] = "pcm16"
    rate: Annotated[int, Field(ge=8000, le=48_000)] = 16_000
    session: str | None = None
    seq: Annotated[int, Field(ge=0)] | None = None
    after: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    @model_validator(mode="before")
    @classmethod
    def _can_be_stored(cls, fields: Mapping[str, object]) -> Mapping[str, object]:
        """PostgreSQL has no null characters and no half of a surrogate pair, which a message of JSON may have."""
        for name, value in fields.items():
            if UNSTORABLE.search(f"{name}{value}"):
                message = f"{_printable(name)} contains a null character or half of a surrogate pair."
                raise InvalidRequest(message, parameter=_printable(name))
        return fields


@dataclass(frozen=True, slots=True)
class Wish:
    """A checked request. `session` is None for a new one."""

    stream: Stream
    spec: JobSpec
    session: uuid.UUID | None


def wish(connection: HTTPConnection, config: Settings, kind: type[Stream] = Stream, **fields: str) -> Wish:
    """Of the address, and of `fields` what it leaves out.

    Raises NotFound for the name of no session, InvalidRequest, and what `parameters.read` and `.spec` raise.
    """
    stream = parameters.read(kind, fields | dict(connection.query_params))
    if stream.encoding == CONTAINER and "rate" in stream.model_fields_set:
        raise InvalidRequest("rate: a container says by itself which rate it has.", parameter="rate")
    try:
        session = uuid.UUID(stream.session) if stream.session else None
    except ValueError as error:
        raise NotFound("There is no such session.") from error
    return Wish(stream, parameters.spec(stream, config), session)


def presented_key(websocket: WebSocket) -> str | None:
    """From a header, a subprotocol or a cookie, in this order; None when it may come with the first message.

    Raises CsrfFailed for the cookie of a page of another origin.
    """
    offered = (KEY_PROTOCOL.fullmatch(name) for name in websocket.scope.get("subprotocols", ()))
    key = next((match[1] for match in offered if match), None)
    if "authorization" in websocket.headers or "x-api-key" in websocket.headers:
        return key_of(websocket) or key  # a proxy in front may have asked for a password of its own
    return key or key_of(websocket)


def answered_protocol(websocket: WebSocket) -> str | None:
    """A browser gives up unless one of the subprotocols that it offers is taken."""
    return PROTOCOL if PROTOCOL in websocket.scope.get("subprotocols", ()) else None


def _printable(name: str) -> str:
    return UNSTORABLE.sub("", name[:100])
