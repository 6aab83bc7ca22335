"""uvicorn's WebSocket, with limits for peers that send and never read: its own bound what is received alone."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

MOST_UNREAD_BYTES = 1024**2
"""Of answers to pings that the peer does not read; they wait in memory."""

MOST_FRAGMENTS = 1024
"""Of one message. Empty ones add nothing to its size."""

FLUSH_S = 5.0
"""How long a socket whose peer is silent may take to send what is left."""

QUIET_S, LINGER_S = 1.0, 10.0
MOST_UNWANTED_BYTES = 64 * 1024**2
"""Whoever is told that a message is refused may still be sending it. What comes behind it is read and thrown away until
nothing has come for a second and all is sent, for ten seconds and so many bytes at most: a connection that is closed
with bytes unread takes the reason with it."""


class Socket(WebSocketsSansIOProtocol):
    """Cut off where the peer makes it keep more than that."""

    heard_at = 0.0
    unwanted_bytes = 0

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        if self.close_sent:
            self.unwanted_bytes += len(data)
        if self.unwanted_bytes > MOST_UNWANTED_BYTES:
            self.transport.abort()
        else:
            super().data_received(data)

    def handle_parser_exception(self) -> None:
        """What came is no message that is allowed: say why and linger. uvicorn's own would close at once. It is called
        again with all that comes behind."""
        if self.close_sent:
            return
        if (close_frame := self.conn.close_sent) is None:  # there is no WebSocket yet that could be told
            self.transport.abort()
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close_frame.code, "reason": close_frame.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._linger(self.loop.time() + LINGER_S)

    def _linger(self, until: float) -> None:
        now = self.loop.time()
        is_quiet = now - self.heard_at >= QUIET_S and not self.transport.get_write_buffer_size()
        if now < until and not is_quiet:
            self.close_timer = self.loop.call_later(QUIET_S, self._linger, until)
        else:
            self.transport.abort()

    def handle_ping(self) -> None:
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            self.transport.abort()

    def handle_cont(self, event: Frame) -> None:
        super().handle_cont(event)
        if len(self.frames) > MOST_FRAGMENTS:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """Whoever sends, or waits for us to read, is there: its answer stands behind what it has sent. It is waited for
        again, as long as it takes what it is told.

        Closing waits until everything is sent, and so for ever where nobody reads.
        """
        patience_s = self.ping_timeout or FLUSH_S
        is_there = self.read_paused or self.loop.time() - self.heard_at < patience_s
        if is_there and self.writable.is_set() and not (self.close_sent or self.transport.is_closing()):
            self.pong_timer = self.loop.call_later(patience_s, self.keepalive_timeout)
            return
        super().keepalive_timeout()
        self.loop.call_later(FLUSH_S, self.transport.abort)
