"""Signs that a decoder is caught in a loop. They are stricter than those of whole recordings: what is doubted here is
only decoded once more, or not shown for half a second."""

from __future__ import annotations

from collections.abc import Sequence

SAID_AGAIN = ((1, 4), (2, 3), *((size, 2) for size in range(3, 13)))
"""Lengths of phrases in words, and how often in a row one of them is a loop."""

WORDS_PER_SECOND = 5
CHARACTERS_PER_SECOND = 10
"""Nobody speaks faster for long; the second where each character is a word."""

SLACK_WORDS = 4


def is_loop(keys: Sequence[str], seconds: float, *, by_character: bool = False, at_end: bool = False) -> bool:
    """Whether these words, without case and punctuation, are too many for the time, or some come again at once.

    at_end : only where they end so. A decoder in a loop does not come out of it, while somebody who says a thing twice
        goes on
    """
    words = list(keys)
    fastest = CHARACTERS_PER_SECOND if by_character else WORDS_PER_SECOND
    if len(words) > fastest * seconds + SLACK_WORDS:
        return True
    for size, times in SAID_AGAIN:
        last = len(words) - size * times
        for first in range(last if at_end else 0, last + 1):
            if first >= 0 and words[first : first + size] * times == words[first : first + size * times]:
                return True
    return False
