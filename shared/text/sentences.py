"""Where a sentence ends, in any script: one notion for segments, subtitles, paragraphs and changes of speaker.

The language is not known here, as recordings mix them. A mark says where a sentence may end; in scripts with capitals
the next word tells, and a full stop may be that of an abbreviation, an initial or an ordinal.
"""

from __future__ import annotations

import re

from shared.text.abbreviations import (
    BEFORE_NUMBERS,
    FIRST_WORDS,
    INSIDE,
    INSIDE_WITH_CAPITAL,
    USUALLY_INSIDE,
)

CLOSING = "\"'”’“‘»«›‹)]}」』）】〕〉》｣〗｝］"
"""What stands behind the mark of a sentence, in French after a space; German closes “ what English opens with it."""

OPENING = "\"'“‘”„‚«»‹›([{¿¡「『（【〔〈《｢〖｛［"

CASED_ENDS = ".!?…‼⁇⁈⁉‽"
"""A sentence goes on behind them where the next word begins with a small letter."""

ENDS = (
    "。｡．！？"  # Chinese, Japanese
    "؟۔"  # Arabic, Persian, Urdu
    "।॥"  # Devanagari, Bengali and other scripts of India
    "།༎"  # Tibetan
    "။"  # Burmese
    "።፧፨"  # Ethiopic
    "։"  # Armenian
    "។៕៚"  # Khmer
    "๚๛"  # Thai
    "᠃᠉"  # Mongolian
    "෴"  # Sinhala
    "꧈꧉"  # Javanese
)
CLAUSE_ENDS = ",;:،؛、，；：··၊፣፤፥፦՝᠂—–"

_MARKS = CASED_ENDS + ENDS
_BORROWED = re.compile("[\u0531-\u0587]:|[\u0370-\u03ff\u1f00-\u1fff][;\u037e]|፡፡|[\u0900-\u0dff]\\|")
"""Greek's question mark, which is a semicolon, and what people type for the full stop of Armenian (a colon), Ethiopic
(its space twice) and Devanagari."""

_WORD = re.compile(r"\w(?:[\w’'-]*\w)?")
_INITIAL = re.compile(r"\w\.")
_NUMBER = re.compile(r"\d{1,3}(?:\.\d{1,2})*|[IVXL]{2,}")
"""An ordinal, or a date's day and month. Years are none."""

_DOTTED = re.compile(r"[^\W\d_]{1,3}(?:\.[-‐]?[^\W\d_]{1,3})+")
_SEMITIC = re.compile("[\u05d0-\u05ea\u0620-\u064a]")
_SHORT = frozenset("гдкмнпрстκπσ")
"""Small letters that stand for a word, as in `г. Москва`; `я` is one."""

_DOUBLED = re.compile(r"([A-Z])\1")  # EE. UU.
_THAI_OR_LAO = re.compile("[\u0e00-\u0eff]")
"""Written without any full stop but those of abbreviations."""


def ends_sentence(text: str, after: str = "") -> bool:
    """Whether a sentence ends with `text`. `after` is what is said next; nothing, where nothing is."""
    text = _without_closing(text)
    marks = text[len(text.rstrip(_MARKS)) :]
    if not marks:
        return bool(_BORROWED.fullmatch(text[-2:]))
    following = _WORD.search(after)
    if not following:  # the rest of this one's end, or nothing that could tell
        return not after.strip() or bool(after.strip().strip(_MARKS + CLOSING))
    if set(marks) <= set(CASED_ENDS) and _is_small(following[0][0]):
        return False
    return marks != "." or not _is_shortened(text, after[following.start() :], following[0])


def ends_clause(text: str) -> bool:
    """Whether `text` ends with a comma or the like, or with the mark of a sentence that may go on. A full stop alone,
    which may be an abbreviation's, is none."""
    text = _without_closing(text)
    return text.endswith(tuple(_MARKS + CLAUSE_ENDS)) and not has_full_stop(text)


def has_full_stop(text: str) -> bool:
    """Whether `text` ends with one full stop, be it an abbreviation's."""
    text = _without_closing(text)
    return text.endswith(".") and not text[:-1].endswith(tuple(_MARKS))


def goes_on(text: str, after: str) -> bool:
    """Whether `text` ends with a full stop that ends nothing, so that what follows belongs to it: `Dr.`"""
    return bool(after.strip()) and has_full_stop(text) and not ends_sentence(text, after)


def _without_closing(text: str) -> str:
    return text.rstrip().rstrip(CLOSING).rstrip().rstrip(CLOSING)


def _is_small(letter: str) -> bool:
    """Georgian, which begins sentences with letters that Unicode calls small, has no others in use."""
    return letter.islower() and not "ა" <= letter <= "ჿ"


def _is_shortened(text: str, after: str, word: str) -> bool:
    """Whether the full stop of `text` is that of an abbreviation, an initial or an ordinal before `word`."""
    short = text.split()[-1].removesuffix(".").lstrip(OPENING + "-–—/")
    key = short.casefold()
    if key in INSIDE or short in INSIDE_WITH_CAPITAL or _THAI_OR_LAO.fullmatch(short[-1:]):
        return True
    is_before_initial = bool(_INITIAL.match(after))
    if key in BEFORE_NUMBERS:
        return is_before_initial or any(letter.isdigit() for letter in word)
    if len(short) == 1 and not short.isdigit() and not _is_initial(short):
        return False
    if len(short) == 1 or key in USUALLY_INSIDE or any(form.fullmatch(short) for form in (_DOTTED, _DOUBLED, _NUMBER)):
        return is_before_initial or bool(_SEMITIC.match(short)) or _is_no_first_word(word)
    return "." in short and not INSIDE.isdisjoint(key.split("."))


def _is_no_first_word(word: str) -> bool:
    return word[0].isdigit() or (word[0].isupper() and word.casefold() not in FIRST_WORDS)


def _is_initial(letter: str) -> bool:
    if letter in "IЯ":  # so do I.
        return False
    return letter.isupper() or letter.isascii() or letter in _SHORT or bool(_SEMITIC.match(letter))
