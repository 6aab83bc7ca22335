"""A client that speaks: it keeps what is not acknowledged, and comes back when its line is cut."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.sync.client import ClientConnection, connect

FRAME_S = 0.25
ANSWER_S = 30.0
"""How long a gateway may be silent before the client takes another."""

AGAIN_S = 0.2
GONE = (OSError, EOFError, TimeoutError, ConnectionClosed, InvalidHandshake, InvalidMessage)


@dataclass
class Session:
    """What a client has seen of one session.

    away_s : the times in which it had no line
    late : how often it came back for last words that nobody had heard yet
    """

    task: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    away_s: list[float] = field(default_factory=list)
    late: int = 0
    ended: Mapping[str, Any] | None = None
    line: ClientConnection | None = None

    def cut(self) -> bool:
        """Cut its line, without a goodbye; whether it had one."""
        line = self.line
        if line is None or self.ended:
            return False
        with suppress(OSError):
            line.socket.shutdown(socket.SHUT_RDWR)
            return True
        return False

    @property
    def finals(self) -> list[tuple[object, ...]]:
        """Number, times and text, in the order in which they were told."""
        finals = [event for event in self.events if event["type"] == "final"]
        return [(each["utterance"], each["start"], each["end"], each["text"]) for each in finals]


def speak(urls: Sequence[str], key: str, frames: Sequence[bytes], session: Session, patience_s: float = 300) -> None:
    """A session of these frames in real time, at one gateway after the other, until it is heard as a whole. Raises
    TimeoutError."""
    acked, sockets, lost_at = 0, 0, 0.0
    until = time.monotonic() + patience_s
    while session.ended is None or not session.ended["is_whole"]:
        if time.monotonic() > until:
            raise TimeoutError(f"not heard to its end within {patience_s:g} s: {session.ended}")
        if session.ended:
            session.late, lost_at = session.late + 1, 0.0
            time.sleep(AGAIN_S)
        after = max((event["id"] for event in session.events), default=0)
        query = {"session": session.task, "seq": acked, "after": after} if session.task else {}
        url = f"{urls[sockets % len(urls)].replace('http', 'ws', 1)}/ws/stream?{urlencode(query)}"
        sockets += 1
        try:
            line = connect(
                url, additional_headers={"Authorization": f"Bearer {key}"}, open_timeout=ANSWER_S, proxy=None
            )
        except GONE:
            time.sleep(AGAIN_S)
            continue
        if lost_at:
            session.away_s.append(time.monotonic() - lost_at)
        session.line = line
        acked = max(acked, _talk(line, frames, acked, session))
        session.line = None
        lost_at = time.monotonic()


def _talk(line: ClientConnection, frames: Sequence[bytes], acked: int, session: Session) -> int:
    """Until the line is cut, or the session has ended. The newest frame that was acknowledged."""
    newest = [acked]
    is_open = threading.Event()

    def hear() -> None:
        try:
            for text in line:
                message = json.loads(text)
                if "id" in message:
                    session.events.append(message)
                elif message["type"] == "hello":
                    session.task = message["session"]
                    is_open.set()
                elif message["type"] == "ack":
                    newest[0] = max(newest[0], message["seq"])
                elif message["type"] == "ended":
                    session.ended = message
        except GONE:
            pass
        finally:
            line.close()
            is_open.set()

    listening = threading.Thread(target=hear, daemon=True)
    listening.start()
    try:
        if is_open.wait(ANSWER_S) and session.task:
            for frame in frames[acked:]:
                line.send(frame)
                time.sleep(FRAME_S)
            line.send('{"type": "end"}')
            listening.join(4 * ANSWER_S)
    except GONE:
        pass
    line.close()
    listening.join(ANSWER_S)
    return newest[0]
