"""What OpenAI's Realtime API says of a live session: every event as the SDK's own types have it, in order."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import ConfigDict, TypeAdapter

from api.live.openai.items import Items
from api.live.openai.session import LOGPROBS, Configuration
from shared.config import Settings
from shared.errors import InvalidRequest, ModelNotAllowed

CONFIG = Settings.model_validate({"database_url": "postgresql://", "redis_url": "redis://"})
EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent, config=ConfigDict(arbitrary_types_allowed=True))
WORDS = [{"text": "Good", "start": 0.1, "end": 0.3, "probability": 0.9}]


def event(kind: str, utterance: int = 0, **data: Any) -> dict[str, Any]:
    return {"id": 1, "kind": kind, "utterance": utterance, "data": data}


def final(text: str, utterance: int = 0) -> dict[str, Any]:
    return event("final", utterance, start=0.0, end=2.5, text=text, words=WORDS, language="en")


def partial(text: str, utterance: int = 0) -> dict[str, Any]:
    return event("partial", utterance, start=0.0, committed=text, tail=" may", language="en")


def answers(items: Items, *events: dict[str, Any]) -> list[dict[str, Any]]:
    """What is sent for events, each checked by the SDK's types."""
    messages = [each | {"event_id": "e"} for one in events for each in items.events(one)]
    for each in messages:
        assert EVENTS.validate_python(each).type == each["type"]
    return messages


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [each["type"].removeprefix("conversation.item.").removeprefix("input_audio_") for each in messages]


def test_an_utterance_is_an_item() -> None:
    """From the beginning of speech to the text, whose deltas add up to it."""
    items = Items("item_")
    items.has_logprobs = True
    speech = [event("speech_started", at=0.5), partial("Good"), partial("Good day"), event("speech_stopped", at=2.5)]
    messages = answers(items, *speech, final("Good day, all."), event("speech_started", 1, at=4.0))
    assert kinds(messages) == [
        *("buffer.speech_started", "transcription.delta", "transcription.delta", "buffer.speech_stopped"),
        *(
            "buffer.committed",
            "added",
            "done",
            "transcription.delta",
            "transcription.completed",
            "buffer.speech_started",
        ),
    ]
    deltas = [each["delta"] for each in messages if "delta" in each]
    assert "".join(deltas) == messages[-2]["transcript"] == "Good day, all."
    assert {each["item_id"] for each in messages[:5]} == {"item_000000"}
    assert messages[-2]["languages"] == [{"code": "en"}] and len(messages[-2]["logprobs"]) == 1
    assert messages[-1]["item_id"] == "item_000001"


def test_a_final_that_says_otherwise_has_no_delta() -> None:
    """The completed text is the final's; the second item is behind the first."""
    items = Items("item_")
    stop = event("speech_stopped", at=2.5)
    first = answers(items, partial("Good day"), stop, final("God's day."))
    assert "".join(each.get("delta", "") for each in first) == "Good day"
    assert first[-1]["transcript"] == "God's day."
    second = answers(items, event("speech_stopped", 1, at=9.0), final("", 1))
    assert (second[1]["previous_item_id"], second[-1]["transcript"]) == ("item_000000", "")


def test_without_detection_a_commit_is_an_item() -> None:
    """All that was said before it, and nothing of speech that starts and stops."""
    items = Items("item_")
    items.has_detection = False
    before = answers(
        items, event("speech_started", at=0.5), partial("One"), event("speech_stopped", at=2.0), final("One.")
    )
    assert kinds(before) == ["transcription.delta", "transcription.delta"]
    committed = items.commit(frame=7)
    assert [each["type"].rpartition(".")[2] for each in committed] == ["committed", "added", "done"]
    item = committed[0]["item_id"]
    after = answers(items, partial("Two", 1), event("cut", 0, frame=3), final("Two.", 1), event("cut", 1, frame=7))
    assert after[-1]["type"].endswith(".completed")
    assert (after[-1]["item_id"], after[-1]["transcript"]) == (item, "One. Two.")
    deltas = [each for each in before + after if "delta" in each]
    assert {each["item_id"] for each in deltas} == {item}
    assert "".join(each["delta"] for each in deltas) == "One. Two."
    assert answers(items, event("cut", 1, frame=7)) == []


def test_what_is_cleared_is_not_told() -> None:
    """What was said before the clear; what is said behind it is."""
    for has_detection in (True, False):
        items = Items("item_")
        items.has_detection = has_detection
        answers(items, event("speech_started", at=0.5), partial("One"))
        assert items.clear(frame=4) == [{"type": "input_audio_buffer.cleared"}]
        assert answers(items, event("speech_stopped", at=2.0), final("One."), event("cut", 0, frame=4)) == []
        messages = answers(
            items, event("speech_started", 1, at=3.0), event("speech_stopped", 1, at=4.0), final("Two.", 1)
        )
        items.commit(frame=9)
        messages += answers(items, event("cut", 1, frame=9))
        completed = [each["transcript"] for each in messages if each["type"].endswith(".completed")]
        assert [text for text in completed if text] == ["Two."]


def test_a_commit_of_silence_is_an_item_without_words() -> None:
    """Also with turn detection: each commit is answered, once."""
    items = Items("item_")
    assert items.commit(frame=2) == []
    messages = answers(items, event("cut", -1, frame=2), event("cut", -1, frame=2))
    assert kinds(messages) == ["buffer.committed", "added", "done", "transcription.completed"]
    assert messages[-1]["transcript"] == ""


def test_what_nobody_hears_has_failed() -> None:
    """Items that are committed and will not be completed."""
    items = Items("item_")
    answers(items, event("speech_stopped", at=2.0))
    (failed,) = items.failures()
    assert EVENTS.validate_python(failed | {"event_id": "e"}).type.endswith(".failed")
    assert list(items.failures()) == []


def configuration(model: str = "") -> Configuration:
    return Configuration(uuid.uuid4(), model, CONFIG)


def update(**values: Any) -> dict[str, Any]:
    return {"type": "transcription", "audio": {"input": values}}


def test_a_configuration_is_shown_as_it_is_in_effect() -> None:
    """Figures that cannot be chosen are ours; the rest is what was asked for."""
    session = configuration()
    session.update(
        update(
            format={"type": "audio/pcmu"},
            transcription={"model": "gpt-transcribe", "languages": ["en", "de"], "keywords": ["Parley"]},
            turn_detection={"type": "semantic_vad", "eagerness": "high"},
        )
        | {"include": [LOGPROBS]}
    )
    event = {"type": "session.updated", "event_id": "e", "session": session.snapshot()}
    effective = EVENTS.validate_python(event).session
    assert effective.audio.input.turn_detection.silence_duration_ms == 400
    assert (effective.audio.input.format.type, session.coding, session.has_logprobs) == ("audio/pcmu", "mulaw", True)
    wish = session.wish()
    assert (wish.stream.rate, wish.spec.options.hotwords) == (8000, "Parley")
    assert wish.spec.options.languages == "de,en"
    session.update(update(turn_detection=None))
    assert not session.has_detection


@pytest.mark.parametrize(
    ("session", "name"),
    [
        ({"type": "realtime"}, "session.type"),
        (None, "session.type"),
        ({"type": "transcription", "voice": "alloy"}, "session.voice"),
        (update(noise_reduction={"type": "near_field"}), "session.audio.input.noise_reduction"),
        (update(format={"type": "audio/opus"}), "session.audio.input.format.type"),
        (update(format={"type": "audio/pcm", "rate": 16_000}), "session.audio.input.format.rate"),
        (update(transcription=None), "session.audio.input.transcription"),
        (update(transcription={"temperature": 1}), "session.audio.input.transcription.temperature"),
        (update(transcription={"keywords": "one"}), "session.audio.input.transcription.keywords"),
        (update(transcription={"language": "klingon"}), "language"),
        (update(transcription={"model": 5}), "session.audio.input.transcription.model"),
        (update() | {"include": 5}, "session.include"),
        (
            update(turn_detection={"type": "server_vad", "idle_timeout_ms": 5}),
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        (update() | {"include": ["all"]}, "session.include"),
    ],
)
def test_what_there_is_not_is_refused_by_name(session: Any, name: str) -> None:
    """And nothing of the update is taken over."""
    own = configuration()
    before = own.snapshot()
    with pytest.raises(InvalidRequest) as refused:
        own.update(session)
    assert refused.value.detail["parameter"] == name
    assert own.snapshot() == before


def test_what_was_recognised_by_is_fixed_once_audio_has_come() -> None:
    """The same again is no change, as clients that use a socket again send it."""
    session = configuration("gpt-realtime-whisper")
    assert not session.has_detection
    session.update(update(transcription={"model": "gpt-realtime-whisper", "language": "en"}))
    session.is_fixed = True
    session.update(update(transcription={"model": "gpt-realtime-whisper", "language": "en"}))
    with pytest.raises(InvalidRequest, match="once audio has come"):
        session.update(update(transcription={"language": "de"}))
    with pytest.raises(ModelNotAllowed):
        configuration("gpt-5")
