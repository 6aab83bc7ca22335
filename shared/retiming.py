"""Times for the words of a text that a person has edited: words that stayed keep theirs, new ones fill the gaps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from shared.subtitles import may_break
from shared.transcript import Segment, Word

WRITTEN_CONFIDENCE = 1.0
"""Of a word that a person wrote: nobody doubts it, and the model never heard it."""

_NOT_SPOKEN = re.compile(r"[\W_]+")


def retimed(segment: Segment, text: str) -> tuple[Word, ...]:
    """The words of `text`, said in the time of `segment`, whose own words they are compared with.

    A word stays when only its case or punctuation was edited; its times and confidence are then those it had. The words
    between two that stayed share the time between them in proportion to their lengths; where there is none, as
    between two words without a pause, they have no length. No word starts before the one before it or leaves the
    segment. A word is what stands between spaces, and in scripts without spaces a character.

    A segment that came without words stays without.
    """
    if not segment.words:
        return ()
    old, new = _joined(segment.words), [word.text for word in _parts(Word(0, 0, text, 0))]
    if new and not new[0][0].isspace() and old and old[0].text[0].isspace():
        new[0] = f" {new[0]}"
    matcher = SequenceMatcher(None, [_spoken(word.text) for word in old], [_spoken(t) for t in new], autojunk=False)
    words: list[Word] = []
    told = segment.start
    for same in matcher.get_matching_blocks():  # the last one is empty and stands behind the end
        until = old[same.a].start if same.a < len(old) else segment.end
        words += _shared_out(new[len(words) : same.b], min(told, until), until, segment.speaker)
        for was, is_now in zip(old[same.a : same.a + same.size], new[same.b : same.b + same.size], strict=True):
            words.append(Word(was.start, was.end, is_now, was.confidence, segment.speaker))
            told = was.end
    return tuple(words)


def _shared_out(texts: Sequence[str], start: float, end: float, speaker: str | None) -> Iterator[Word]:
    """`texts` one after another from `start` to `end`, each as long as its share of the characters."""
    total = sum(len(text.strip()) for text in texts)
    now, said = start, 0
    for text in texts:
        said += len(text.strip())
        after = end if said == total else min(end, start + (end - start) * said / total)
        yield Word(now, after, text, WRITTEN_CONFIDENCE, speaker)
        now = after


def _joined(words: Sequence[Word]) -> list[Word]:
    """The same words cut and joined as the words of a plain text are: `well` and `-known` are one."""
    joined: list[Word] = []
    is_apart = True
    for word in words:
        for part in _parts(word):
            if joined and not is_apart and not part.text[0].isspace():
                last = joined[-1]
                if not may_break(last.text[-1], part.text[0]):
                    joined[-1] = _both(last, part)
                    continue
            joined.append(part)
            is_apart = False
        is_apart = is_apart or word.text[-1:].isspace()
    return joined


def _both(before: Word, after: Word) -> Word:
    """Two halves of one word, as sure as the less certain of them."""
    confidence = min(before.confidence, after.confidence)
    return Word(before.start, max(before.end, after.end), before.text + after.text, confidence, before.speaker)


def _parts(word: Word) -> Iterator[Word]:
    """`word` cut before white space and between the characters of scripts without spaces; each shares its time."""
    text = word.text.rstrip()
    first = 0
    cuts = [at for at in range(1, len(text)) if _is_cut(text, at)]
    per_character = (word.end - word.start) / max(1, len(text))
    for last in [*cuts, len(text)]:
        if text[first:last].strip():
            start = word.start + per_character * first
            end = word.end if last == len(text) else min(word.end, word.start + per_character * last)
            yield Word(start, end, text[first:last], word.confidence, word.speaker)
            first = last


def _is_cut(text: str, at: int) -> bool:
    before, after = text[at - 1], text[at]
    return (after.isspace() and not before.isspace()) or may_break(before, after)


def _spoken(text: str) -> str:
    """What two spellings of one spoken word have in common; of mere punctuation, itself."""
    return _NOT_SPOKEN.sub("", text.casefold()) or text.strip()
