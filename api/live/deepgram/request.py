"""What a client of Deepgram's live API asks for, with the address of its socket. docs/live.md has the table.

Every option is honoured, refused by name, or told of: in `notices`, which the client finds in `Metadata` and in a
header of the handshake.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fastapi import WebSocket
from starlette.datastructures import QueryParams

from api.auth import KEY, key_of
from api.intake import parameters
from api.live.request import Stream, Wish
from api.live.sound import Coding
from shared.config import Settings
from shared.errors import InvalidRequest
from shared.live.sessions import CONTAINER

TOKEN = re.compile(r"token ([A-Za-z0-9_-]{1,128})", re.IGNORECASE | re.ASCII)
SUBPROTOCOLS = ("token", "bearer")
"""How a browser sends its key: `new WebSocket(url, ["token", KEY])`."""

CODINGS: dict[str, Coding] = {"linear16": "pcm16", "mulaw": "mulaw", "alaw": "alaw"}
MODELS = re.compile(
    r"(nova(-[23])?|enhanced|base)(-(general|meeting|phonecall|voicemail|finance|conversationalai|video|medical|drivethru"
    r"|automotive))?|meeting|phonecall|voicemail|finance|conversationalai|video"
)
"""Deepgram's own, which are answered by the default model."""

REFUSED = {
    "callback": "results come on the socket; webhook_url of POST /transcribe is called at the end",
    "callback_method": "results come on the socket",
    "extra": "nothing is sent back with the results",
    "redact": "nothing is left out of a text",
    "replace": "words are not replaced",
    "search": "GET /history?q= finds words once the session has ended",
}
"""Options that there are not, and what there is."""

SWITCHES = {
    "detect_entities": "entities are not detected",
    "dictation": "spoken marks stay words",
    "multichannel": "a live session has one channel",
    "profanity_filter": "words are not filtered",
}
"""Options that there are not, unless they are false."""

NOTICES = {
    "filler_words": "fillers are written where the model hears them",
    "numerals": "numbers are written as the model writes them",
    "smart_format": "numbers and dates are written as the model writes them",
}
"""What is told when they are true."""

OWN = frozenset(
    [
        "encoding",
        "sample_rate",
        "channels",
        "model",
        "version",
        "language",
        "language_hint",
        "keyterm",
        "keywords",
        "tag",
        "mip_opt_out",
        "diarize",
        "diarize_model",
        "interim_results",
        "endpointing",
        "utterance_end_ms",
        "vad_events",
        "punctuate",
        "no_delay",
    ]
)
KNOWN = OWN | REFUSED.keys() | SWITCHES.keys() | NOTICES.keys()

PAUSE_MS = 400
"""After so much silence an utterance ends: tasks/listening/bounds.py."""


@dataclass(slots=True)
class Listen:
    """A checked request. `utterance_end_s` is None unless UtteranceEnd was asked for."""

    wish: Wish
    coding: Coding
    interim: bool = False
    vad_events: bool = False
    utterance_end_s: float | None = None
    is_multilingual: bool = False
    notices: list[str] = field(default_factory=list)


def presented_key(websocket: WebSocket) -> str | None:
    """`Authorization: Token KEY`, or in the ways of ours, or as the subprotocol behind `token`.

    Headers come first: by those whoever counts requests before us knows the key (deploy/caddy/ratelimit.caddy).
    """
    headers = websocket.headers.getlist("authorization")
    if len(headers) == 1 and (match := TOKEN.fullmatch(headers[0])):
        return match[1]
    if key := key_of(websocket):
        return key
    offered = websocket.scope.get("subprotocols", ())
    return str(offered[1]) if len(offered) == 2 and offered[0] in SUBPROTOCOLS and KEY.fullmatch(offered[1]) else None


def answered_protocol(websocket: WebSocket) -> str | None:
    """The first of the two, without the key."""
    return next((name for name in websocket.scope.get("subprotocols", ()) if name in SUBPROTOCOLS), None)


def read(query: QueryParams, config: Settings) -> Listen:
    """Raises InvalidRequest, and what `parameters.read` and `parameters.spec` raise."""
    for name in query:
        if name not in KNOWN:
            raise _wrong(name, "there is no such option.")
        if name in REFUSED and query[name].lower() != "false":
            raise _wrong(name, f"{REFUSED[name]}.")
        if name in SWITCHES and _flag(query, name):
            raise _wrong(name, f"{SWITCHES[name]}.")
    notices = [f"{name}: {text}" for name, text in NOTICES.items() if _flag(query, name)]
    if query.get("version", "latest") != "latest":
        raise _wrong("version", "there is one version of each model, latest.")
    if query.get("channels", "1") != "1":
        raise _wrong("channels", "a live session has one channel.")
    coding = _coding(query)
    is_container = coding == CONTAINER
    language = query.get("language", "")
    fields = {
        "encoding": CONTAINER if is_container else "pcm16",
        "rate": "" if is_container else query.get("sample_rate", ""),
        "model": _model(query.get("model", ""), config, notices),
        "language": "" if language == "multi" else language,
        "languages": "" if language not in ("", "multi") else ",".join(query.getlist("language_hint")),
        "hotwords": ", ".join([*query.getlist("keyterm"), *_keywords(query, notices)]),
        "tags": ",".join(query.getlist("tag")),
        "diarization": _diarization(query, notices),
    }
    if language not in ("", "multi") and "language_hint" in query:
        raise _wrong("language_hint", "a language is given.")
    _note_endings(query, notices)
    stream = parameters.read(Stream, fields)
    spec = parameters.spec(stream, config)
    end_ms = _number(query, "utterance_end_ms")
    return Listen(
        Wish(stream, spec, None),
        coding,
        interim=_flag(query, "interim_results"),
        vad_events=_flag(query, "vad_events"),
        utterance_end_s=end_ms / 1000 if end_ms else None,
        is_multilingual=language == "multi",
        notices=notices,
    )


def _coding(query: QueryParams) -> Coding:
    name = query.get("encoding", "")
    if not name:
        if "sample_rate" in query:
            raise _wrong("sample_rate", "a container says by itself which rate it has; for bare samples say encoding.")
        return "container"
    if name not in CODINGS:
        raise _wrong("encoding", f"name one of {', '.join(CODINGS)}, or none: then it is a container.")
    if "sample_rate" not in query:
        raise _wrong("sample_rate", "with an encoding, say its samples per second.")
    return CODINGS[name]


def _model(name: str, config: Settings, notices: list[str]) -> str:
    if name in (config.whisper_model, *config.allowed_models) or not MODELS.fullmatch(name):
        return name  # ours, or one that is refused by its name
    notices.append(f"model: {name} is answered by {config.live_model or config.whisper_model}")
    return ""


def _keywords(query: QueryParams, notices: list[str]) -> list[str]:
    """Without their weights."""
    listed = [text.rpartition(":") if re.search(r":-?[\d.]+$", text) else (text,) for text in query.getlist("keywords")]
    if any(len(parts) > 1 for parts in listed):
        notices.append("keywords: their weights have no effect")
    return [parts[0] for parts in listed]


def _diarization(query: QueryParams, notices: list[str]) -> str:
    if query.get("diarize_model", "latest") not in ("v1", "latest"):
        raise _wrong("diarize_model", "v1 or latest.")
    if not (_flag(query, "diarize") or "diarize_model" in query):
        return "false"
    notices.append("diarize: all words of an utterance have one speaker; those of the task's result have their own")
    return "true"


def _note_endings(query: QueryParams, notices: list[str]) -> None:
    if "punctuate" in query and not _flag(query, "punctuate"):
        notices.append("punctuate: text is always punctuated")
    endpointing = query.get("endpointing", "true").lower()
    if endpointing == "false":
        raise _wrong("endpointing", f"utterances always end at pauses of {PAUSE_MS} ms.")
    if endpointing != "true" and _number(query, "endpointing") != PAUSE_MS:
        notices.append(f"endpointing: utterances end at pauses of {PAUSE_MS} ms")


def _flag(query: QueryParams, name: str) -> bool:
    value = query.get(name, "false").lower()
    if value not in ("true", "false"):
        raise _wrong(name, "true or false.")
    return value == "true"


def _number(query: QueryParams, name: str) -> int:
    value = query.get(name, "0")
    if not (value.isascii() and value.isdecimal() and len(value) < 8):
        raise _wrong(name, "a number of milliseconds.")
    return int(value)


def _wrong(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{name[:100]}: {why}", parameter=name[:100])
