"""`python -m scripts.copy_bucket save > bucket.tar`, `python -m scripts.copy_bucket load < bucket.tar`.

All objects of the bucket as a stream, so that it needs no folder where it runs, which is where the bucket can be
reached. Needs the gateway's environment.
"""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from shared.errors import NotFound, ParleyError
from shared.storage import Storage, storage

BUFFER_BYTES = 64 * 1024
"""What a pipe holds."""

END = "complete"
"""Name of the last member, which no object has: their names begin with an id. Without it the stream was cut off."""


def main() -> int:
    """Exit status 0 with the number of objects on stderr; 1 with a message when the copy is not whole."""
    try:
        match sys.argv[1:]:
            case ["save"]:
                copied = save(storage(), sys.stdout.buffer)
            case ["load"]:
                copied = load(storage(), sys.stdin.buffer)
            case _:
                raise SystemExit(__doc__)
    except ParleyError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    except (tarfile.TarError, OSError) as error:
        sys.stderr.write(f"the copy is not whole: {error}\n")
        return 1
    sys.stderr.write(f"{copied} objects\n")
    return 0


def save(source: Storage, out: BinaryIO) -> int:
    """Write every object; returns how many. One that is deleted meanwhile is left out. Raises StorageUnavailable."""
    copied = 0
    with tarfile.open(fileobj=out, mode="w|", bufsize=BUFFER_BYTES) as archive:
        for key in source.list(""):
            member = tarfile.TarInfo(key)
            try:
                with source.open(key) as reader:
                    member.size = reader.size
                    archive.addfile(member, reader)
            except NotFound:
                continue
            copied += 1
        archive.addfile(tarfile.TarInfo(END))
    return copied


def load(target: Storage, copy: BinaryIO) -> int:
    """Store every object under its name; returns how many. Raises StorageUnavailable, or TarError at a copy's end that
    is not the end of the copy."""
    copied = 0
    with tarfile.open(fileobj=copy, mode="r|", bufsize=BUFFER_BYTES) as archive:
        for member in archive:
            if member.name == END:
                return copied
            writer = target.writer(member.name)
            try:
                for piece in _pieces(archive, member):
                    if writer.write(piece):
                        writer.flush()
                writer.close()
            except BaseException:
                writer.abort()
                raise
            copied += 1
    raise tarfile.ReadError("its end is missing")


def _pieces(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    content = archive.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name} is no file")
    while piece := content.read(BUFFER_BYTES):
        yield piece


if __name__ == "__main__":
    sys.exit(main())
