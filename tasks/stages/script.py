"""Chinese text -> the same text in simplified or traditional script, character by character, by OpenCC's dictionaries.

Whisper writes either, and may change within a recording. Only characters change, never the choice of words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from shared.transcript import Segment, Transcript

if TYPE_CHECKING:
    from opencc import OpenCC

TO_SIMPLIFIED = "t2s"
FROM_SIMPLIFIED = {"Hans": TO_SIMPLIFIED, "Hant": "s2tw", "Hant-HK": "s2hk"}
"""OpenCC's conversion into each script. All of them put one character in place of one."""

FROM_TRADITIONAL = {"Hans": TO_SIMPLIFIED, "Hant": "t2tw", "Hant-HK": "t2hk"}
"""The same for text that is traditional already, in which s2tw would take a surname such as 范 for a simplified 範."""

OTHER_LANGUAGES = frozenset({"ja", "ko"})
"""They have characters in common with Chinese, and a standard of their own."""

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_OTHER_LETTERS = re.compile("[\u3041-\u309f\u30a1-\u30fa\uac00-\ud7af]")  # kana and hangul


def rewrite(transcript: Transcript, script: str) -> Transcript:
    """The transcript with its Chinese text in that script. Times, words and all else stay as they are."""
    if transcript.language in OTHER_LANGUAGES:
        return transcript
    segments = in_script(transcript.segments, script)
    has_chinese = any(_is_chinese(segment.text) for segment in segments)
    return replace(transcript, segments=segments, script=script if has_chinese else None)


def in_script(segments: Sequence[Segment], script: str) -> tuple[Segment, ...]:
    """Segments with their Chinese text in that script; what is in another language stays."""
    return tuple(_segment(segment, script) if _is_chinese(segment.text) else segment for segment in segments)


def _is_chinese(text: str) -> bool:
    return bool(_HAN.search(text)) and not _OTHER_LETTERS.search(text)


def _segment(segment: Segment, script: str) -> Segment:
    """Words of Chinese are often single characters, so they are converted together: 头发 is 頭髮, 发现 發現."""
    text = _converted(segment.text, script)
    spoken = "".join(word.text for word in segment.words)
    output, place, words = _converted(spoken, script), 0, []
    for word in segment.words:
        words.append(replace(word, text=output[place : place + len(word.text)]))
        place += len(word.text)
    return replace(segment, text=text, words=tuple(words))


def _converted(text: str, script: str) -> str:
    """As many characters as before."""
    simplified, traditional = FROM_SIMPLIFIED[script], FROM_TRADITIONAL[script]
    configuration = traditional if _is_traditional(text, simplified) else simplified
    output = str(_opencc(configuration).convert(text))
    if len(output) == len(text):
        return output
    return "".join(each if len(each := _character(letter, configuration)) == 1 else letter for letter in text)


def _is_traditional(text: str, configuration: str) -> bool:
    """Whether it has characters that simplified text does not, and none that traditional text does not."""
    letters = set(_HAN.findall(text))
    return any(_character(letter, TO_SIMPLIFIED) != letter for letter in letters) and not any(
        _is_only_simplified(letter, configuration) for letter in letters
    )


def _is_only_simplified(letter: str, configuration: str) -> bool:
    """后 is no such character: it is traditional for a queen, and simplified for 後. Big5 is the old set of Taiwan."""
    try:
        letter.encode("big5")
    except UnicodeEncodeError:
        return _character(letter, configuration) != letter
    return False


@cache
def _character(letter: str, configuration: str) -> str:
    return str(_opencc(configuration).convert(letter))


@cache
def _opencc(configuration: str) -> OpenCC:
    """Takes 0.3 s and up to 30 MB at its first use."""
    from opencc import OpenCC

    return OpenCC(configuration)
