"""Servers of live streams on loopback: radio that never ends, and HLS that grows."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

from tests.unit.intake.media import KIND, write_tone

LOOPBACK = "127.0.0.1"
BYTES_PER_S = 16_000
PIECE_S = 1


class Radio(ThreadingHTTPServer):
    """`song` is a second of sound, sent again and again. In the HLS playlists there is a new piece at each look:
    whoever looks late has lost none."""

    daemon_threads = True

    def __init__(self, song: bytes, piece: bytes) -> None:
        super().__init__((LOOPBACK, 0), _Station)
        self.song, self.piece = song, piece
        self.window = 4
        self.newest = self.window
        """Number of the piece behind the newest."""
        self.over = threading.Event()
        self.seen: Counter[str] = Counter()
        self.host = f"{LOOPBACK}:{self.server_port}"
        self.url = f"http://{self.host}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @classmethod
    def on_air(cls, folder: Path) -> Radio:
        song = write_tone(folder / "song.mp3", KIND["mp3"], frequency=700, seconds=1).read_bytes()
        piece = write_tone(folder / "piece.aac", KIND["aac"], frequency=700, seconds=PIECE_S).read_bytes()
        return cls(song, piece)

    def close(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()


class _Station(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        radio = cast(Radio, self.server)
        radio.seen[self.path] += 1
        match self.path:
            case "/icecast":
                self._stream({"Server": "Icecast 2.4.4", "icy-name": "Parley FM", "Content-Type": "audio/mpeg"})
            case "/icecast-rated":
                self._stream({"icy-br": "128", "Content-Type": "audio/mpeg"}, bursts=True)
            case "/icecast-stops":
                self._stream({"icy-name": "Parley FM", "Content-Type": "audio/mpeg"}, seconds=2)
            case "/unlabelled":
                self._stream({"Content-Type": "audio/mpeg"})
            case "/master.m3u8":
                self._text(
                    "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=900\nhigh.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=9\nlive.m3u8\n"
                )
            case "/live.m3u8" | "/gone.m3u8" | "/encrypted.m3u8":
                self._playlist(radio)
            case "/ended.m3u8":
                self._playlist(radio, end="#EXT-X-ENDLIST\n")
            case "/moved/master.m3u8":
                self._text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9\nelsewhere.m3u8\n")
            case "/moved/elsewhere.m3u8":
                self.send_response(302)
                self.send_header("Location", "/far/relative.m3u8")
                self.end_headers()
            case "/far/relative.m3u8":
                self._playlist(radio, folder="../piece")
            case path if path.startswith("/piece/"):
                self._answer(radio.piece, "audio/aac")
            case _:
                self.send_error(404)

    def _playlist(self, radio: Radio, end: str = "", folder: str = "/piece") -> None:
        radio.newest += 1
        newest = radio.newest
        folder = "/nowhere" if "gone" in self.path else folder
        key = '#EXT-X-KEY:METHOD=AES-128,URI="key"\n' if "encrypted" in self.path else ""
        numbers = range(newest - radio.window, newest)
        lines = "".join(f"#EXTINF:{PIECE_S},\n{folder}/{number}.aac\n" for number in numbers)
        self._text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{numbers.start}\n{key}{lines}{end}")

    def _text(self, text: str) -> None:
        self._answer(text.encode(), "application/vnd.apple.mpegurl")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, headers: dict[str, str], *, bursts: bool = False, seconds: float = 1e9) -> None:
        radio = cast(Radio, self.server)
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        began, position = time.monotonic(), 0
        try:
            while not radio.over.wait(0 if bursts else 0.05) and time.monotonic() - began < seconds:
                self.wfile.write(radio.song)
                position += len(radio.song)
        except OSError:  # the listener has heard enough
            return

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Shoutcast:
    """A server of version 1, which answers ICY in place of HTTP."""

    def __init__(self, song: bytes) -> None:
        self._song = song
        self._socket = socket.create_server((LOOPBACK, 0))
        self.host = f"{LOOPBACK}:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                listener, _ = self._socket.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._play, args=(listener,), daemon=True).start()

    def _play(self, listener: socket.socket) -> None:
        with listener:
            try:
                listener.recv(4096)
                listener.sendall(b"ICY 200 OK\r\nicy-name: Parley FM\r\ncontent-type: audio/mpeg\r\n\r\n")
                while True:
                    listener.sendall(self._song)
                    time.sleep(0.05)
            except OSError:
                return
