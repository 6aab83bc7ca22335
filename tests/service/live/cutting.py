"""A proxy on loopback that resets each connection once so many bytes have gone up, a few times.

It does so when the client was greeted: before that it has no session to go on with.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

MOST_CUTS = 2
GREETED_S = 120


@contextmanager
def cutting(url: str, after_bytes: int) -> Iterator[tuple[str, list[int]]]:
    """Its address, and by then how many bytes each connection had sent that was cut."""
    parts, cuts = urlsplit(url), list[int]()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    gateway = socket.create_connection((parts.hostname or "", parts.port or 80))
                    is_greeted = threading.Event()
                    threading.Thread(target=up, args=(client, gateway, is_greeted), daemon=True).start()
                    threading.Thread(target=down, args=(gateway, client, is_greeted), daemon=True).start()

        def up(client: socket.socket, gateway: socket.socket, is_greeted: threading.Event) -> None:
            byte_count = 0
            with suppress(OSError):
                while data := client.recv(4096):
                    gateway.sendall(data)
                    byte_count += len(data)
                    if byte_count > after_bytes and len(cuts) < MOST_CUTS:
                        is_greeted.wait(GREETED_S)
                        cuts.append(byte_count)
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        break
            for end in (client, gateway):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

        def down(gateway: socket.socket, client: socket.socket, is_greeted: threading.Event) -> None:
            output = b""
            with suppress(OSError):
                while data := gateway.recv(4096):
                    client.sendall(data)
                    output += data
                    if b'"hello"' in output:
                        is_greeted.set()
            with suppress(OSError):
                client.shutdown(socket.SHUT_WR)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", cuts
        server.shutdown(socket.SHUT_RDWR)
