"""One live session: pieces of sound are sent and kept until the server has them, past a line that is cut."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from cli.connection import FIRST_PAUSE_S, PATIENCE_S
from cli.failures import Failure, NotAccepted, Refused, Unreachable
from cli.live.websocket import Closed, WebSocket

Message = dict[str, Any]

MOST_KEPT = 240
"""Pieces that the server has not acknowledged: a minute of sound. Then no more is read from where it comes."""

GOES_ON = frozenset({1001, 1005, 1006, 1011, 1012, 1013})
"""Closes after which another connection may go on with the session."""


class LiveSession:
    """`run` sends and waits; `tell` is called with each message of the server's, in another thread."""

    def __init__(self, url: str, key: str | None, query: dict[str, str], tell: Callable[[Message], None]) -> None:
        self._url, self._key, self._query, self._tell = url, key, query, tell
        self.task_id: str | None = None
        self._backlog: deque[bytes] = deque()
        self._acked = self._event = 0
        self._ended: Message | None = None
        self._failure: Failure | None = None
        self._news = threading.Condition()
        self._is_hearing = False

    def run(self, pieces: Iterator[bytes]) -> Message:
        """The server's last message. Raises Refused, NotAccepted, Unreachable, and what the pieces raise."""
        has_ended, away_since = False, 0.0
        while True:
            try:
                socket = self._open()
            except (OSError, Refused) as error:
                away_since = away_since or time.monotonic()
                self._check_patience(error, away_since)
                time.sleep(FIRST_PAUSE_S)
                continue
            place = self._acked, self._event
            reader = threading.Thread(target=self._read, args=(socket,), daemon=True)
            backlog = list(self._backlog)  # behind the frame that the server was told of
            self._is_hearing = True
            try:
                reader.start()
                for piece in backlog:
                    socket.send(piece)
                if not has_ended:
                    self._send(socket, pieces)
                    has_ended = True
                socket.send('{"type": "end"}')
                reader.join()
            except OSError:
                reader.join()
            finally:
                socket.close()
            if self._ended:
                return self._ended
            if self._failure:
                raise self._failure
            if (self._acked, self._event) != place:
                away_since = 0.0
            away_since = away_since or time.monotonic()
            self._check_patience(Closed(), away_since)
            time.sleep(FIRST_PAUSE_S)

    def _open(self) -> WebSocket:
        query = dict(self._query)
        if self.task_id:
            query |= {"session": self.task_id, "seq": str(self._acked), "after": str(self._event)}
        return WebSocket(self._url, "/ws/stream", query, self._key)

    def _check_patience(self, error: OSError | Refused, since: float) -> None:
        """Raises it where asking again is of no use, or was long enough."""
        is_passing = isinstance(error, OSError) or error.status in (429, 502, 503, 504, 507)
        if self.task_id and is_passing and time.monotonic() - since < PATIENCE_S:
            return
        if isinstance(error, OSError):
            raise Unreachable(
                f"{self._url} does not answer ({error}). Is PARLEY_URL right, and the server running?"
            ) from error
        raise error

    def _send(self, socket: WebSocket, pieces: Iterator[bytes]) -> None:
        """All that is left. Raises OSError when the line is cut; the piece that was read then is kept."""
        for piece in pieces:
            with self._news:
                self._backlog.append(piece)
                self._news.wait_for(lambda: len(self._backlog) < MOST_KEPT or not self._is_hearing)
            if self._ended or not self._is_hearing:
                raise Closed
            socket.send(piece)

    def _read(self, socket: WebSocket) -> None:
        try:
            for text in socket.messages():
                self._take(json.loads(text))
        except Closed as closed:
            if not self._failure and not self._ended and closed.code not in GOES_ON:
                self._failure = Failure("closed", f"The server has closed the session with {closed.code}.")
            if closed.code in GOES_ON:
                self._failure = None
        except (OSError, ValueError):
            pass
        finally:
            with self._news:
                self._is_hearing = False  # the thread itself lives a little longer
                self._news.notify_all()

    def _take(self, message: Message) -> None:
        match message.get("type"):
            case "hello":
                self.task_id = str(message["task_id"])
            case "ack":
                self._acknowledge(int(message["seq"]))
            case "error":
                kind = NotAccepted if message["code"] in ("unauthorized", "forbidden") else Refused
                self._failure = kind(0, message["code"], message["message"], message.get("request_id"))
            case "ended":
                self._ended = message
        self._event = max(self._event, int(message.get("id", 0)))
        self._tell(message)

    def _acknowledge(self, seq: int) -> None:
        with self._news:
            while self._acked < seq and self._backlog:
                self._backlog.popleft()
                self._acked += 1
            self._news.notify_all()
