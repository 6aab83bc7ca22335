"""The gateway's pages: GET / with the workspace, which web/ is built into, /docs and /redoc to read about the API."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from shared.errors import NotFound

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parent.parent / "pages"
WORKSPACE = FOLDER / "workspace"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def _headers(policy: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; connect-src 'self'; {policy}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }


HEADERS = _headers(
    "script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    # text becomes markup in one place, of Svelte's own, which gives it the templates that were compiled
    "require-trusted-types-for 'script'; trusted-types svelte-trusted-html"
)


@dataclass(frozen=True)
class Asset:
    """A file of the workspace as it is sent."""

    content: bytes
    packed: bytes
    media_type: str
    etag: str

    @classmethod
    def of(cls, content: bytes, suffix: str) -> Asset:
        etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
        return cls(content, gzip.compress(content, mtime=0), MEDIA_TYPES[suffix], etag)

    def answer(self, request: Request, **more: str) -> Response:
        """304 for who has it. `more` are further headers."""
        headers = {**HEADERS, "ETag": self.etag, "Vary": "Accept-Encoding", **more}
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=self.media_type)
        return Response(self.content, headers=headers, media_type=self.media_type)


FILES = WORKSPACE / "assets"
ASSETS = {
    path.relative_to(FILES).as_posix(): Asset.of(path.read_bytes(), path.suffix)
    for path in sorted(FILES.rglob("*"))
    if path.is_file()
}
"""By path. Nothing else of the disk can be asked for."""

VERSION = hashlib.sha256("".join(f"{name}{one.etag}" for name, one in ASSETS.items()).encode()).hexdigest()[:12]
"""Stands in the paths of all of them: they are of one release, whatever a tab that is open meets at an update."""

INDEX = Asset.of(
    (WORKSPACE / "index.html").read_bytes().replace(b"./assets/", f"./assets/{VERSION}/".encode()), ".html"
)
ICON = Asset.of((WORKSPACE / "icon.svg").read_bytes(), ".svg")


@router.get("/")
async def page(request: Request) -> Response:
    """The workspace, the same for everybody."""
    return INDEX.answer(request)


@router.get("/icon.svg")
async def icon(request: Request) -> Response:
    """Its icon."""
    return ICON.answer(request)


@router.get("/assets/{version}/{name:path}")
async def asset(request: Request, version: str, name: str) -> Response:
    """Its scripts and its style."""
    file = ASSETS.get(name) if version == VERSION else None
    if file is None:
        raise NotFound("The page has no such file.")
    return file.answer(request, **{"Cache-Control": "public, max-age=31536000, immutable"})


def _hash(page: str, tag: str) -> str:
    """CSP's name for the one inline element of this kind, so that nothing else of its kind may run or apply."""
    [content] = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


# ---- the API's own description; Swagger UI and Redoc are files of a package, served by this gateway


def _reference(name: str) -> tuple[str, dict[str, str]]:
    """A page that finds everything beside itself, and its headers. The policy keeps Redoc from asking its maker's host
    for a picture."""
    content = (FOLDER / name).read_text()
    policy = (
        f"script-src 'self' {_hash(content, 'script')}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; worker-src blob:"
    )
    return content, _headers(policy)


DOCS, DOCS_HEADERS = _reference("docs.html")
REDOC, REDOC_HEADERS = _reference("redoc.html")


@router.get("/docs")
async def docs() -> HTMLResponse:
    """Every call, to try out."""
    return HTMLResponse(DOCS, headers=DOCS_HEADERS)


@router.get("/redoc")
async def redoc() -> HTMLResponse:
    """Every call, to read."""
    return HTMLResponse(REDOC, headers=REDOC_HEADERS)
