"""What becomes of each option of Deepgram's live API, and G.711."""

from __future__ import annotations

import av
import numpy as np
import pytest
from starlette.datastructures import QueryParams

from api.live.deepgram import request
from api.live.deepgram.request import Listen
from api.live.sound import EXPAND
from shared.config import Settings
from shared.errors import InvalidRequest, ModelNotAllowed

CONFIG = Settings.model_validate({"database_url": "postgresql://", "redis_url": "redis://"})
LINEAR = "encoding=linear16&sample_rate=16000&model=nova-3&"


def read(query: str) -> Listen:
    return request.read(QueryParams(query), CONFIG)


def test_options_are_taken_over() -> None:
    """Into those of any task, and into what is sent."""
    listen = read(
        "encoding=mulaw&sample_rate=8000&model=nova-3&language=multi&language_hint=en&language_hint=de&interim_results=true"
        "&utterance_end_ms=1000&vad_events=true&keyterm=Parley&keyterm=Valkey&tag=call&tag=test&endpointing=400"
    )
    assert (listen.coding, listen.wish.stream.rate) == ("mulaw", 8000)
    options = listen.wish.spec.options
    assert (options.languages, options.hotwords, listen.wish.spec.notes.tags) == (
        "de,en",
        "Parley, Valkey",
        ("call", "test"),
    )
    assert (listen.interim, listen.vad_events, listen.utterance_end_s, listen.is_multilingual) == (
        True,
        True,
        1.0,
        True,
    )
    assert [notice.partition(":")[0] for notice in listen.notices] == ["model"]


@pytest.mark.parametrize(
    "query",
    [
        *(
            "endpointing=10",
            "smart_format=true",
            "numerals=true",
            "filler_words=true",
            "punctuate=false",
            "diarize=true",
        ),
        *("diarize_model=v1", "keywords=Parley:2"),
    ],
)
def test_what_is_otherwise_here_is_told_of(query: str) -> None:
    """By the option's name, beside the model's."""
    names = [notice.partition(":")[0] for notice in read(LINEAR + query).notices]
    assert query.partition("=")[0].removesuffix("_model") in names


@pytest.mark.parametrize(
    "query",
    [
        *("redact=pci", "replace=a:b", "search=word", "callback=https://a.example", "extra=a:b", "multichannel=true"),
        *("channels=2", "profanity_filter=true", "dictation=true", "detect_entities=true", "endpointing=false"),
        *(
            "version=2024",
            "interim_results=maybe",
            "utterance_end_ms=soon",
            "diarize_model=v2",
            "summarize=v2",
            "language=xx",
        ),
        "language=en&language_hint=de",
    ],
)
def test_what_there_is_not_is_refused_by_name(query: str) -> None:
    """Never ignored."""
    with pytest.raises(InvalidRequest) as refused:
        read(LINEAR + query)
    assert refused.value.detail["parameter"] == query.rpartition("&")[2].partition("=")[0]


def test_what_cannot_be_stored_is_refused() -> None:
    """A null character, which PostgreSQL does not have, and half of a surrogate pair."""
    for text in ("a%00b", "a\ud800b"):
        with pytest.raises(InvalidRequest, match="hotwords contains a null character"):
            read(f"{LINEAR}keyterm={text}")


@pytest.mark.parametrize("query", ["sample_rate=16000", "encoding=opus&sample_rate=48000", "encoding=linear16"])
def test_a_coding_is_needed_with_its_rate(query: str) -> None:
    """One without the other says nothing."""
    with pytest.raises(InvalidRequest, match=r"encoding|sample_rate"):
        read(query)


def test_no_coding_is_a_container() -> None:
    """Which says by itself what it is."""
    listen = read("model=nova-3&language=en")
    assert (listen.coding, listen.wish.stream.encoding) == ("container", "container")


def test_a_model_that_is_neither_ours_nor_deepgrams_is_refused() -> None:
    """By the same error as everywhere."""
    with pytest.raises(ModelNotAllowed):
        read("encoding=linear16&sample_rate=16000&model=nova-9")


@pytest.mark.parametrize(("coding", "codec"), [("mulaw", "pcm_mulaw"), ("alaw", "pcm_alaw")])
def test_g711_is_that_of_ffmpeg(coding: str, codec: str) -> None:
    """All 256 codes."""
    codes = bytes(range(256))
    decoder = av.CodecContext.create(codec, "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    (frame,) = decoder.decode(av.Packet(codes))
    assert np.array_equal(np.frombuffer(EXPAND[coding](codes), "<i2"), frame.to_ndarray().ravel())  # type: ignore[index]
