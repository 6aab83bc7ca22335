"""Whether a value is fit to be an API key that somebody has chosen by hand."""

from __future__ import annotations

import re
from itertools import pairwise

MIN_CHARS = 24
"""24 characters of base64 hold 144 bits, of hex 96."""

MAX_CHARS = 128
"""As many as the limits of Caddy tell apart (deploy/caddy/ratelimit.caddy)."""

ALPHABET = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
"""What a key consists of. No proxy, header or shell writes any of these in two ways."""

MIN_DIFFERENT = 6
MIN_TURNS = 10
"""Neighbours that are neither equal nor next to each other in the alphabet or on a keyboard."""

PLACEHOLDER = re.compile(
    r"change.?me|choose|replace.?me|placeholder|example|password|passw0rd|passwort|secret|your.?(own|key|api|token)"
    r"|api.?key|insert.?(key|here)|dummy|default|letmein|qwerty|parley|somebody|hidden|invented|not.?a.?(real.?)?key",
    re.IGNORECASE,
)
WORDS = re.compile(r"[a-z]+([_-][a-z]+){2,}|[A-Z]+([_-][A-Z]+){2,}")
KEYBOARD = "qwertyuiopasdfghjklzxcvbnm"

HOW = "make one with: python3 -c 'import secrets; print(\"pk_\" + secrets.token_hex(24))'"


def weakness(key: str) -> str | None:
    """What is wrong with the key, in words that do not show it; None when it may be used.

    Everything that stands in our documents, examples and tests is refused, as is what people type to fill a field.
    """
    secret = key.removeprefix("pk_")
    if len(key) < MIN_CHARS:
        reason = f"is shorter than {MIN_CHARS} characters"
    elif len(key) > MAX_CHARS:
        reason = f"is longer than {MAX_CHARS} characters"
    elif not ALPHABET.fullmatch(key):
        reason = "has other characters than letters, digits, _ and -"
    elif PLACEHOLDER.search(key) or WORDS.fullmatch(secret):
        reason = "is a placeholder or made of words"
    elif len(set(secret)) < MIN_DIFFERENT or _repeats(secret) or _turns(secret.lower()) < MIN_TURNS:
        reason = "repeats itself or runs along the alphabet or the keyboard"
    else:
        return None
    return f"{reason}; {HOW}"


def _repeats(text: str) -> bool:
    """Whether more than a quarter of its trigrams were there before."""
    trigrams = [text[place : place + 3] for place in range(len(text) - 2)]
    return len(set(trigrams)) < 0.75 * len(trigrams)


def _turns(text: str) -> int:
    return sum(not _are_neighbours(first, second) for first, second in pairwise(text))


def _are_neighbours(first: str, second: str) -> bool:
    if abs(ord(first) - ord(second)) <= 1 or {first, second} == {"0", "9"}:
        return True
    return f"{first}{second}" in KEYBOARD or f"{second}{first}" in KEYBOARD
