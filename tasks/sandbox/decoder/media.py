"""Files as FFmpeg reads them: a container, the tracks of sound in it, their packets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any, NoReturn

from tasks.sandbox.decoder.accepted import CODECS, CONTAINERS, NOT_MEDIA, UNDECODABLE
from tasks.sandbox.decoder.chained import Tail
from tasks.sandbox.decoder.pcm import Refused

HEAD_BYTES = 1024
"""A whole header of SPHERE, the longest that is looked into here."""

PROBE_BYTES, PROBE_US = 20_000_000, 30_000_000
"""How far to look for the sound of a file whose video starts first: 20 MB, 30 s. FFmpeg's own 5 MB miss some."""

MAX_READ_ERRORS = 64
"""Consecutive failed reads after which a damaged file counts as ended; some demuxers fail without moving on."""


def open_media(source: IO[bytes] | Tail) -> Any:
    """An av container over `source`. Raises Refused: unsupported_media for a known non-recording, else no_audio."""
    import av  # after set_limits

    head = source.read(HEAD_BYTES)
    source.seek(0)
    for offset, magic, name in NOT_MEDIA:
        if head[offset:].startswith(magic):
            raise Refused("unsupported_media", f"The file is a {name}, not a recording.")
    for pattern, name in UNDECODABLE:
        if re.match(pattern, head, re.DOTALL):
            raise Refused("unsupported_media", f"A {name} cannot be decoded here. Convert it to WAV first.")
    options = {
        "format_whitelist": ",".join(CONTAINERS),
        "codec_whitelist": ",".join(CODECS),
        "protocol_whitelist": "none",
        "enable_drefs": "0",  # mov: media data in other files
        "use_absolute_path": "0",
        "probesize": str(PROBE_BYTES),
        "analyzeduration": str(PROBE_US),
    }
    try:
        return av.open(Tail(source, 0), options=options, metadata_errors="replace", io_open=open_no_other)
    except MemoryError:
        raise
    except av.ArgumentError:  # what FFmpeg answers for a format that it knows and the whitelist does not
        raise Refused("unsupported_media", "The file is not an accepted kind of audio or video.") from None
    except av.FFmpegError:
        raise Refused("no_audio", "Nothing in the file can be decoded as sound.") from None


def open_no_other(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    """What FFmpeg calls to open a further file. Raises Refused."""
    raise Refused("unsupported_media", "The file refers to other files.")


def attend_to(container: Any, stream: Any) -> None:
    """Let FFmpeg pass over all other streams, and decode this one without threads of its own."""
    import av

    for other in container.streams:
        if other is not stream:
            other.discard = av.stream.Discard.all
    stream.codec_context.thread_count = 1


def packets(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of `stream`; None for each place that could not be read."""
    import av

    errors = 0
    while errors < MAX_READ_ERRORS:
        try:
            for packet in container.demux(stream):
                errors = 0
                yield packet
            return
        except MemoryError:
            raise
        except IndexError:  # PyAV flushes ours first, then trips over a stream that appeared in the middle of the file
            return
        except av.FFmpegError as problem:
            if isinstance(problem, av.PatchWelcomeError) and container.format.name == "ogg":
                return  # the next link of a chain
            errors += 1
            yield None


def frames(packet: Any) -> list[Any] | None:
    """What the packet decodes to; None for a packet that is damaged or could not be read."""
    import av

    try:
        return packet.decode() if packet is not None else None
    except MemoryError:
        raise
    except av.FFmpegError:
        return None


class Complaints:
    """What FFmpeg complains of while it reads: it finds its way behind damage in silence, but for its log."""

    def __init__(self) -> None:
        from av import logging

        logging.set_level(logging.ERROR)
        logging.set_skip_repeated(False)
        self._capture = logging.Capture(local=False)
        self._logs: list[Any] = self._capture.__enter__()

    def take(self) -> bool:
        """Whether there were any since the last call."""
        some = bool(self._logs)
        self._logs.clear()
        return some
