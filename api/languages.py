"""Languages as people write them -> the codes of shared/languages.py, and the script of Chinese text: tags, codes of
ISO 639, names.

langcodes knows the registries of tags and codes, language_data the names of languages in their own and all others.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from langcodes import Language, LanguageTagError, closest_match
from langcodes.data_dicts import MACROLANGUAGES, VALIDITY
from langcodes.tag_parser import parse_tag
from language_data.names import load_trie, normalize_name
from language_data.util import data_filename
from marisa_trie import BytesTrie

from shared.languages import CHINESE, LANGUAGES
from shared.options import Script

MAX_CHARS = 100
"""Longer text is no language."""

WHISPERS = {"jv": "jw", "fil": "tl", "nb": "no", "pes": "fa", "pbt": "ps", "zlm": "ms"}
"""What the registries call languages for which Whisper has another code, or only that of a wider language."""

NAMES = {
    "bahasa melayu": "ms", "basa jawa": "jw", "bokmal": "no", "bokmål": "no", "castellano": "es",
    "chinese simplified": "zh-Hans", "chinese traditional": "zh-Hant", "espanol": "es", "francais": "fr",
    "greek modern": "el",
    "hindi": "hi", "javanese": "jw", "kreyol ayisyen": "ht", "kreyòl ayisyen": "ht", "luxembourgian": "lb",
    "māori": "mi", "olelo hawaii": "haw", "portugues": "pt", "reo māori": "mi", "te reo": "mi", "te reo māori": "mi",
    "turkce": "tr", "valencià": "ca", "valenciano": "ca", "zh chs": "zh-Hans", "zh cht": "zh-Hant",
    "ōlelo hawai\u02bbi": "haw",
    "國語": "zh", "国语": "zh", "官話": "zh", "官话": "zh", "广东话": "yue", "廣東話": "yue",
    "普通話": "zh", "正體中文": "zh-Hant", "汉语": "zh", "漢語": "zh", "华语": "zh", "華語": "zh",
}  # fmt: skip
"""Names in use that language_data does not have, or has for another code. Keys as `normalize_name` writes them."""

MAX_DISTANCE = 15
"""In CLDR's distances, Swiss German is 4 from German, Wu 10 from Chinese, and Irish 20 from English."""

MIN_LIKENESS = 0.75
"""Share of letters that a name has in common with what somebody meant by it: `germn`, not `irish` and `finnish`."""

SCRIPTS: Mapping[str, Script] = {
    "CN": "Hans", "SG": "Hans", "MY": "Hans", "TW": "Hant", "HK": "Hant-HK", "MO": "Hant-HK",
}  # fmt: skip
"""In which of Chinese's scripts a region writes."""

_SUBTAGS_OF_LANGUAGES = frozenset({"language", "extlang"})
_CHECKED_SUBTAGS = frozenset({"script", "territory", "variant"})
_LOCALE_TAIL = re.compile(r"[.@].*")  # de_DE.UTF-8@euro
_QUALIFIER = re.compile(r"(?<=\S)(?:\s*[(（,，]|\s+[-–/]\s).*")  # noqa: RUF001  Chinese (Taiwan)
_BETWEEN = re.compile(r"[()（）,，/–]|\s-\s")  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Reading:
    """What somebody means by a language: its code, or what of it the registries know, and the script of its text."""

    code: str
    script: Script | None = None


def spoken(language: str) -> Reading | None:
    """A language by tag, code or name, in any case, and its script where it says one; None when we do not offer it."""
    text = _tidied(language)
    if len(text) > MAX_CHARS:
        return None
    offered = ((_offered(reading.code), reading.script) for reading in _readings(text))
    return next((Reading(code, _script_of(code, script)) for code, script in offered if code), None)


def language_code(language: str) -> str | None:
    """The code of a language by tag, code or name, in any case; None when there is none or we do not offer it."""
    reading = spoken(language)
    return reading.code if reading else None


def _script_of(code: str, script: Script | None) -> Script | None:
    """Cantonese is written as in Hong Kong; other languages have no script that could be chosen."""
    if code not in CHINESE:
        return None
    return "Hant-HK" if (code, script) == ("yue", "Hant") else script


def hint(language: str) -> str:
    """` Did you mean ...?`, or nothing; to be put behind what says that there is no such language."""
    name = nearest(language)
    return f" Did you mean {name}?" if name else ""


def nearest(language: str) -> str | None:
    """The name of the language that we offer and that was probably meant, or is next to the one that was."""
    text = _tidied(language)[:MAX_CHARS]
    codes = [reading.code for reading in _readings(text)]
    near = [_tags()[tag] for code in codes if (tag := _closest(code)) in _tags()]
    if not codes:
        names = {name.lower(): code for code, name in LANGUAGES.items()}
        near = [names[name] for name in get_close_matches(text.lower(), names, 1, MIN_LIKENESS)]
    if not near and (first := re.match(r"\w+(?=\W)", text.replace("_", "-"))):
        near = [code for code in (language_code(first[0]),) if code]
    if not codes and re.fullmatch("[A-Za-z]{2}", text):  # a country's; CLDR says en of what it does not know
        spoken = _offered(Language.get(f"und-{text}").maximize().language or "")
        near = [spoken] if spoken and spoken != "en" else []
    return LANGUAGES[near[0]] if near else None


def _tidied(text: str) -> str:
    """Composed, as names are kept; nothing where it holds control characters or surrogates, which names are not."""
    tidied = unicodedata.normalize("NFC", text).strip()
    return "" if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in tidied) else tidied


def _closest(code: str) -> str:
    return str(closest_match(code, _tags(), max_distance=MAX_DISTANCE)[0])


def _offered(code: str) -> str | None:
    """Whisper's code. It was trained on all that is called Arabic; other wide languages stand for their main one."""
    wide = "ar" if MACROLANGUAGES.get(code) == "ar" else Language.get(code).prefer_macrolanguage().language or ""
    return next((offer for each in (code, wide) if (offer := WHISPERS.get(each, each)) in LANGUAGES), None)


@cache
def _tags() -> dict[str, str]:
    """Our codes by those of the registries."""
    return {code: code for code in LANGUAGES} | {tag: code for tag, code in WHISPERS.items() if code in ("jw", "tl")}


def _readings(text: str) -> Iterator[Reading]:
    """What `text` may mean, as people write languages and as the registries do, the likeliest first."""
    lowered = text.lower()
    if lowered in LANGUAGES:
        yield Reading(lowered)
    yield from _by_tag(text)
    yield from _by_name(text)
    if name := _QUALIFIER.search(text):
        script = _qualified(text[name.start() :])
        yield from (Reading(each.code, script or each.script) for each in _by_name(text[: name.start()]))


def _by_name(name: str) -> Iterator[Reading]:
    key = normalize_name(name)
    tag = NAMES.get(key) or (_names()[key][0].decode() if key in _names() else "")
    if tag in LANGUAGES:
        yield Reading(tag)
    elif tag:
        yield from _by_tag(tag)


def _qualified(text: str) -> Script | None:
    """The script that is meant by what stands behind Chinese, such as `(Traditional, Hong Kong)`."""
    keys = [normalize_name(part) for part in _BETWEEN.split(text) if part.strip()]
    scripts = [_names("script")[key][0].decode() for key in keys if key in _names("script")]
    territories = [_names("territory")[key][0].decode() for key in keys if key in _names("territory")]
    return _script(next(iter(scripts), None), next(iter(territories), None))


def _script(script: str | None, territory: str | None) -> Script | None:
    """The script of Chinese text by the subtags of a tag."""
    regional = SCRIPTS.get(territory or "")
    if script is None:
        return regional
    if script == "Hans":
        return "Hans"
    return None if script != "Hant" else "Hant-HK" if regional == "Hant-HK" else "Hant"


def _by_tag(tag: str) -> Iterator[Reading]:
    """The language of a tag, which langcodes would otherwise keep in memory for ever: there are any number of them."""
    try:
        subtags = parse_tag(_LOCALE_TAIL.sub("", tag))
    except LanguageTagError:
        return
    if subtags[0][0] == "grandfathered":  # 26 of them
        yield Reading(Language.get(subtags[0][1]).language or "")
        return
    if all(VALIDITY.match(value) for kind, value in subtags if kind in _CHECKED_SUBTAGS):
        code = [value for kind, value in subtags if kind in _SUBTAGS_OF_LANGUAGES][-1]
        language = Language.get(code).language if re.fullmatch("[a-z]{2,3}", code) else None
        if language and VALIDITY.match(language):
            parts = dict(subtags)
            yield Reading(language, _script(parts.get("script"), parts.get("territory")))


@cache
def _names(kind: str = "language") -> BytesTrie:
    """Subtags by the names of languages, scripts or territories, in all languages."""
    return load_trie(data_filename(f"trie/und/name_to_{kind}.marisa"))
