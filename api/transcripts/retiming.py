"""Times for the words of a text that a person has edited: words that stayed keep theirs, new ones fill the gaps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from api.transcripts.line_breaks import may_break
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
    old, new = _joined(segment.words), [word.text for word in _parts(Word(0, 0, text, 0), 0)]
    if new and not new[0][0].isspace() and old and old[0].text[0].isspace():
        new[0] = f" {new[0]}"
    words: list[Word] = []
    end = segment.start
    for was, at in _stayed([_spoken(word.text) for word in old], [_spoken(text) for text in new]):
        words += _shared_out(new[len(words) : at], min(end, old[was].start), old[was].start, segment.speaker)
        words.append(Word(old[was].start, old[was].end, new[at], old[was].confidence, segment.speaker))
        end = old[was].end
    return (*words, *_shared_out(new[len(words) :], min(end, segment.end), segment.end, segment.speaker))


def _stayed(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Places of the same words in both, as many as there can be in order: the longest common subsequence.

    difflib would take the longest run first, lose words for it, and take cubic time on a text that goes round in
    circles. This takes len(old) * len(new) steps.
    """
    most = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]  # of old[i:] and new[j:]
    for i in reversed(range(len(old))):
        row, below = most[i], most[i + 1]
        for j in reversed(range(len(new))):
            row[j] = below[j + 1] + 1 if old[i] == new[j] else max(below[j], row[j + 1])
    i = j = 0
    while i < len(old) and j < len(new):
        if old[i] == new[j]:
            yield i, j
            i, j = i + 1, j + 1
        elif most[i + 1][j] >= most[i][j + 1]:
            i += 1
        else:
            j += 1


def _shared_out(texts: Sequence[str], start: float, end: float, speaker: str | None) -> Iterator[Word]:
    """`texts` one after another from `start` to `end`, each as long as its share of the characters."""
    total = sum(len(text.strip()) for text in texts)
    now, char_count = start, 0
    for text in texts:
        char_count += len(text.strip())
        after = end if char_count == total else min(end, start + (end - start) * char_count / total)
        yield Word(now, after, text, WRITTEN_CONFIDENCE, speaker)
        now = after


def _joined(words: Sequence[Word]) -> list[Word]:
    """The same words cut and joined as the words of a plain text are: `well` and `-known` are one."""
    joined: list[Word] = []
    is_apart = True
    for word, after in zip(words, [*words[1:], None], strict=True):
        for part in _parts(word, min(word.end, after.start) if after else word.end):
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


def _parts(word: Word, until: float) -> Iterator[Word]:
    """`word` cut before white space and between the characters of scripts without spaces.

    The parts share its time up to `until`, where the next word starts; the last one has the rest.
    """
    text = word.text.rstrip()
    first = 0
    per_character = (until - word.start) / max(1, len(text))
    for last in [at for at in range(1, len(text) + 1) if at == len(text) or _is_cut(text, at)]:
        if text[first:last].strip():
            start, end = (min(until, word.start + per_character * at) for at in (first, last))
            end = word.end if last == len(text) else end
            yield Word(start, end, text[first:last], word.confidence, word.speaker)
            first = last


def _is_cut(text: str, at: int) -> bool:
    before, after = text[at - 1], text[at]
    return (after.isspace() and not before.isspace()) or may_break(before, after)


def _spoken(text: str) -> str:
    """What two spellings of one spoken word have in common; of mere punctuation, itself."""
    return _NOT_SPOKEN.sub("", text.casefold()) or text.strip()
