"""From what yt-dlp raises to one clear line for the person who sent the URL."""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_CHARS = 300

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PREFIX = re.compile(r"^(ERROR: )?(\[[\w:.+-]+\] )?([\w./-]{1,64}: )?")
_ADVICE = re.compile(
    r"(;|\.)?\s*(please report this issue|Confirm you are on the latest|See +https?://|Use --|use --|"
    r"You might want to use|Set --|Try --|Also see|To see all|\(caused by|Run yt-dlp).*",
    re.IGNORECASE | re.DOTALL,
)
_PATH = re.compile(r"(?<![\w:/])/(?:[\w.+-]+/)+[\w.+-]*")

TEMPORARY = re.compile(
    r"HTTP Error (408|425|429|5\d\d)|timed? ?out|Connection (reset|refused|aborted)|Remote end closed|"
    r"IncompleteRead|bytes read, \d+ more expected|Bad Gateway|Unable to connect to proxy",
    re.IGNORECASE,
)
"""What a later attempt may not meet again."""


FORBIDDEN = "Tunnel connection failed: 403"
"""How the proxy's refusal of an address is told by what asks for TLS."""


class Refused(Exception):
    """Our own reason not to go on; `code` is one of shared/errors.py."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def explain(problem: BaseException) -> tuple[str, str]:
    """An error code of shared/errors.py and a message without colours, advice about options, and local paths."""
    causes = list(_chain(problem))
    for cause in causes:
        if isinstance(cause, Refused):
            return cause.code, cause.message
    if any(FORBIDDEN in str(cause) for cause in causes):
        return "extraction_error", "This needs an address that is not allowed."
    names = {type(cause).__name__ for cause in causes}
    if any(isinstance(cause, OSError) and cause.errno == 27 for cause in causes):  # EFBIG, RLIMIT_FSIZE
        return "file_too_large", "The recording is larger than is allowed."
    if "No suitable extractor" in str(problem):
        return "extraction_error", "This is not one of the sites that this server takes recordings from."
    if "UnsupportedError" in names:
        return "extraction_error", "There is no recording on this page."
    if "GeoRestrictedError" in names:
        return "extraction_error", "The site does not give this recording to the country that this server is in."
    text = clean(str(problem))
    code = "source_unavailable" if TEMPORARY.search(str(problem)) else "extraction_error"
    return code, text or "The recording could not be extracted."


def clean(text: str) -> str:
    """One line of what yt-dlp said."""
    text = _PREFIX.sub("", _COLOUR.sub("", text), count=1)
    text = _PATH.sub("(path)", _ADVICE.sub("", text))
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"


def _chain(problem: BaseException | None) -> Iterator[BaseException]:
    """The exception and all that led to it. yt-dlp keeps some causes in `exc_info` and `cause`."""
    ids: set[int] = set()
    waiting = [problem]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in ids:
            continue
        ids.add(id(current))
        yield current
        info = getattr(current, "exc_info", None) or (None, None)
        waiting += [current.__cause__, current.__context__, getattr(current, "cause", None), info[1]]
