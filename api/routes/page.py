"""The gateway's pages: GET / to transcribe by hand with the user's own key, /docs and /redoc to read about the API."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parent.parent / "pages"
SCRIPTS = (
    "dom.js",
    "api.js",
    "drafts.js",
    "unsaved.js",
    "fields.js",
    "transcript.js",
    "jobs.js",
    "history.js",
    "main.js",
)
"""In the order in which each needs those before it. To the browser they are one, which CSP names by its hash."""


def _assembled() -> str:
    page, style, *scripts = ((FOLDER / name).read_text() for name in ("index.html", "style.css", *SCRIPTS))
    page = page.replace("<style></style>", f"<style>\n{style}</style>")
    # the braces keep names of ours from those that a window has, as `open` or `history`
    return page.replace("<script></script>", '<script>\n"use strict";\n{\n' + "\n".join(scripts) + "}\n</script>")


PAGE = _assembled()


def _hash(page: str, tag: str) -> str:
    """CSP's name for the one inline element of this kind, so that nothing else of its kind may run or apply."""
    [content] = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


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
    f"script-src {_hash(PAGE, 'script')}; style-src {_hash(PAGE, 'style')}; img-src data:; media-src blob:"
)


@router.get("/")
async def page() -> HTMLResponse:
    """The page, the same for everybody."""
    return HTMLResponse(PAGE, headers=HEADERS)


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
