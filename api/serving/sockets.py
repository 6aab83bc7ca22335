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


class Socket(WebSocketsSansIOProtocol):
    """Cut off where the peer makes it keep more than that."""

    heard_at = 0.0

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        super().data_received(data)

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
