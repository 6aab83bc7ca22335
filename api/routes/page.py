"""GET /: a page to transcribe by hand. It uses the API as any client does, with the user's own key."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from shared.errors import NotFound

router = APIRouter(include_in_schema=False)

MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
FILES = {
    path.name: (path.read_bytes(), MEDIA_TYPES[path.suffix])
    for path in (Path(__file__).parent.parent / "pages").iterdir()
}
"""All there is: what a request names is looked up here, never on the disk."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; media-src blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@router.get("/")
async def page() -> Response:
    """The page, the same for everybody."""
    return _file("index.html")


@router.get("/page/{name}")
async def part(name: str) -> Response:
    """Its script and style."""
    return _file(name)


def _file(name: str) -> Response:
    if name not in FILES:
        raise NotFound("There is no such file.")
    content, media_type = FILES[name]
    return Response(content, media_type=media_type, headers=HEADERS)
