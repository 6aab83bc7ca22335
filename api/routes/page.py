"""GET /: one static page to transcribe by hand. It uses the API as any client does, with the user's own key."""

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


def _hash(tag: str) -> str:
    """CSP's name for the one inline element of this kind, so that nothing else of its kind may run or apply."""
    [content] = re.findall(f"<{tag}>(.*?)</{tag}>", PAGE, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src {_hash('script')}; style-src {_hash('style')}; connect-src 'self'; "
        "img-src data:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@router.get("/")
async def page() -> HTMLResponse:
    """The page, the same for everybody."""
    return HTMLResponse(PAGE, headers=HEADERS)
