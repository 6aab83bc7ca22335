"""The gateway's list of languages, and how people write them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from faster_whisper.tokenizer import _LANGUAGE_CODES
from hypothesis import given
from hypothesis import strategies as st
from langcodes import Language

from api import VERSION
from api.bodies.submission import Submission
from api.intake.parameters import read
from api.languages import hint, language_code, spoken
from shared.errors import InvalidRequest
from shared.languages import LANGUAGES


def test_the_list_is_whispers() -> None:
    """The gateway offers exactly the languages that faster-whisper knows."""
    assert set(LANGUAGES) == set(_LANGUAGE_CODES)


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_language_goes_by_any_of_its_codes_and_names(code: str) -> None:
    """Whisper's code, both of ISO 639 with three letters, its English name and its own, in any case."""
    registered = Language.get(code)
    spellings = {code, registered.to_alpha3("T"), registered.to_alpha3("B"), LANGUAGES[code], registered.autonym()}
    for spelling in spellings:
        assert {language_code(each) for each in (spelling, spelling.upper(), f" {spelling.title()}\n")} == {code}


@pytest.mark.parametrize(
    ("code", "spellings"),
    [
        ("en", "en-US en_GB EN-us en-GB-oed en-US-u-ca-gregory en_US.UTF-8 en-x-mine"),
        ("de", "de-AT de-CH-1996 de_DE@euro Deutsch allemand alemán ドイツ語 German|(Austria)"),
        ("pt", "pt-BR pt_PT Brazilian|Portuguese português portugues Portuguese|(Brazil)"),
        ("es", "es-419 Castilian español espanol castellano"),
        ("fr", "fr-CA Français FRANÇAIS français francais"),
        (
            "zh",
            "zh-TW zh-Hant zh_Hans_CN zh-cmn-Hans cmn-Hant-TW cmn Mandarin 中文 汉语 普通话 繁體中文",
        ),
        ("zh", "Simplified|Chinese Chinese|(Traditional) Chinese,|Simplified zh-CHS Chinese|Simplified chi zho"),
        ("yue", "zh-yue yue-HK Cantonese 粵語 广东话"),
        ("no", "nb nb-NO no-NO nob nor Bokmål Norwegian|Bokmål norsk"),
        ("nn", "nn-NO nno Norwegian|Nynorsk"),
        ("he", "iw heb iw-IL עברית"),
        ("id", "in ind in_ID Bahasa|Indonesia"),
        ("yi", "ji yid ydd"),
        ("jw", "jv jav jw Javanese Jawa Basa|Jawa"),
        ("tl", "fil fil-PH tgl Filipino Pilipino Tagalog"),
        ("nl", "Flemish nl-BE dut nld Vlaams"),
        ("ar", "ar-EG arb arz العربية"),
        ("fa", "Farsi prs Dari pes per fas"),
        ("sr", "sr-Latn-RS srp scc sh"),
        ("ro", "mo ro-MD Moldovan rum ron"),
        ("ca", "Valencian valencià ca-valencia"),
        ("ms", "zsm may msa Bahasa|Melayu"),
        ("pa", "Panjabi pa-Guru"),
        ("my", "Myanmar bur mya"),
        ("ht", "Haitian hat Kreyòl|ayisyen"),
    ],
)
def test_a_language_goes_by_what_people_write(code: str, spellings: str) -> None:
    """Regions, scripts, variants, old codes, parts of a wider language, and names in any language."""
    for spelling in spellings.split(" "):
        assert language_code(spelling.replace("|", " ")) == code, spelling


@pytest.mark.parametrize(
    ("script", "spellings"),
    [
        (None, "zh cmn zho yue Mandarin 中文 國語 zh-Latn zh-US zh-guoyu en-TW de-Hant Chinese|(foreign)"),
        ("Hans", "zh-CN zh_SG zh-Hans zh-hans-hk zh-cmn-Hans cmn-Hans-CN zh-MY zh-CHS zh_CN.UTF-8 yue-Hans yue-CN"),
        (
            "Hans",
            "Simplified|Chinese Chinese|(Simplified) Chinese|(China) 简体中文 中文\uff08中国\uff09 chinois|simplifié",
        ),
        ("Hant", "zh-TW zh_TW ZH-HANT zh-Hant-TW zh-Hant-CN cmn-Hant zh-CHT zh_TW.Big5 zho-TW Chinese|(Taiwan)"),
        (
            "Hant",
            "Traditional|Chinese Chinese,|Traditional 繁體中文 正體中文 中文|(繁體) Chinese|-|Taiwan chino|tradicional",
        ),
        ("Hant-HK", "zh-HK zh-MO zh-Hant-HK yue-HK yue-Hant zh-yue-HK Chinese|(Hong|Kong) 中文\uff08香港\uff09"),
        ("Hant-HK", "Chinese|(Traditional,|Hong|Kong) Chinese|(Traditional)|(Macau) Cantonese|(Traditional)"),
    ],
)
def test_a_tag_or_name_of_chinese_says_its_script(script: str | None, spellings: str) -> None:
    """By subtag, by where it is spoken, or in words; plain Chinese and other languages have none."""
    for spelling in spellings.split(" "):
        reading = spoken(spelling.replace("|", " "))
        assert reading is not None and reading.script == script, spelling


@pytest.mark.parametrize(
    ("spelling", "meant"),
    [
        ("germn", "German"),
        ("Chineese", "Chinese"),
        ("en-USA", "English"),
        ("de-nonsense", "German"),
        ("english and german", "English"),
        ("gsw", "German"),
        ("Swiss German", "German"),
        ("nan", "Chinese"),
        ("zh-min-nan", "Chinese"),
        ("jp", "Japanese"),
        ("cz", "Czech"),
    ],
)
def test_what_is_not_offered_is_refused_with_what_was_meant(spelling: str, meant: str) -> None:
    """A slip, a neighbouring language, the code of a country."""
    assert (language_code(spelling), hint(spelling)) == (None, f" Did you mean {meant}?")


@pytest.mark.parametrize(
    "spelling",
    ["klingon", "i-klingon", "ga", "Irish", "Romansh", "xx", "und", "", "x-en", "C", "POSIX", "1", "e" * 101, "en\0"],
)
def test_nothing_is_guessed(spelling: str) -> None:
    """A language that is like none of ours gets no other one's name."""
    assert (language_code(spelling), hint(spelling)) == (None, "")


@given(
    st.text(st.characters()) | st.lists(st.sampled_from(["en", "zh", "-", "_", "x", "US", "\ud800", "1"])).map("".join)
)
def test_any_text_is_a_language_or_none(text: str) -> None:
    """No text is an error, and what is found is one of ours."""
    assert language_code(text) in {None, *LANGUAGES}
    assert hint(text) == "" or hint(text).startswith(" Did you mean ")


def test_a_request_has_codes() -> None:
    """Several spellings of one language are one; an error names the field and what was meant."""
    assert read(Submission, {"language": "pt-BR"}).language == "pt"
    assert read(Submission, {"language": "Auto"}).language is None
    assert read(Submission, {"languages": "fr_CA, Deutsch,de-AT"}).languages == "de,fr"
    one = read(Submission, {"lang": "", "languages": "Deutsch,de-AT"})
    assert (one.language, one.languages) == ("de", None)
    for fields in ({"language": "germn"}, {"languages": "en,germn"}):
        with pytest.raises(InvalidRequest, match=r"GET /languages lists\. Did you mean German\?$") as error:
            read(Submission, fields)
        assert error.value.detail == {"parameter": next(iter(fields))}


def test_names_are_unique() -> None:
    """No two codes share a name."""
    assert len({name.lower() for name in LANGUAGES.values()}) == len(LANGUAGES)


def test_the_gateway_tells_the_projects_version() -> None:
    """GET /health shows the version of pyproject.toml."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
