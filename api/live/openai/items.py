"""Events of a live session -> items of a conversation, as OpenAI's Realtime API tells them.

With turn detection each utterance is an item; without, all that was said between two commits of the client is one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]

LEAST = 1e-10
"""Of a probability: there is no logarithm of nothing."""


@dataclass(frozen=True, slots=True)
class Request:
    """A commit or a clear of the client's, and the frame that cuts there."""

    frame: int
    is_clear: bool
    item: str = ""


class Items:
    """What to send for what is heard and asked. Ids begin with `prefix`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.has_detection, self.has_logprobs = True, False
        self._before: str | None = None  # the item that was committed last
        self._count = 0  # items that the client has committed
        self._requests: list[Request] = []
        self._committed = -1  # the last utterance whose item is committed
        self._texts: dict[str, str] = {}  # by item, the text of its deltas
        self._finals: list[dict[str, Any]] = []  # of the item that the client has not committed
        self._open: set[str] = set()  # committed, and not completed
        self._has_completed = False  # any item, since the client has committed

    # ---- what the client asks for

    def commit(self, frame: int) -> list[Event]:
        """It ends the item here. Without turn detection that is told at once."""
        item = "" if self.has_detection else self._manual()
        self._requests.append(Request(frame, is_clear=False, item=item))
        self._has_completed = False
        if not item:
            return []
        self._count += 1
        return list(self._commit(item))

    def clear(self, frame: int) -> list[Event]:
        """What was said and is not committed will not be told."""
        if not any(request.item for request in self._requests):
            self._finals.clear()
            self._texts.clear()
        self._requests.append(Request(frame, is_clear=True))
        self._count += 1  # what comes next is another item
        return [{"type": "input_audio_buffer.cleared"}]

    # ---- what is heard

    def events(self, event: dict[str, Any]) -> Iterator[Event]:
        """Of an event as `sessions.Look` has it."""
        kind, data, utterance = event["kind"], event["data"], event["utterance"]
        if kind == "cut":
            yield from self._cut(data["frame"])
        elif self._is_cleared(utterance):
            return
        elif kind == "partial":
            yield from self._delta(self._item(utterance), data["committed"])
        elif kind == "final" and self.has_detection:
            item = self._item(utterance)
            if utterance > self._committed:  # begun without turn detection
                self._committed = utterance
                yield from self._commit(item)
            yield from self._complete(item, [data])
        elif kind == "final":
            yield from self._delta(self._item(utterance), data["text"], is_final=True)
            self._finals.append(data)
        elif self.has_detection and kind == "speech_started":
            start = {"audio_start_ms": round(1000 * data["at"]), "item_id": self._item(utterance)}
            yield {"type": "input_audio_buffer.speech_started"} | start
        elif self.has_detection and kind == "speech_stopped":
            item, self._committed = self._item(utterance), utterance
            yield {
                "type": "input_audio_buffer.speech_stopped",
                "audio_end_ms": round(1000 * data["at"]),
                "item_id": item,
            }
            yield from self._commit(item)

    def failures(self) -> Iterator[Event]:
        """Of items that nobody will complete."""
        for item in sorted(self._open):
            error = {"type": "server_error", "code": "not_heard", "message": "The audio was not heard to its end."}
            yield _about(item, "failed") | {"error": error}
        self._open.clear()

    def _cut(self, frame: int) -> Iterator[Event]:
        while self._requests and self._requests[0].frame <= frame:
            request = self._requests.pop(0)
            if request.item:
                finals, self._finals = self._finals, []
                yield from self._complete(request.item, finals)
            elif not request.is_clear:
                # with turn detection the utterance that was cut is an item already; where none was, one without words
                if not self._has_completed:
                    item = self._manual()
                    self._count += 1
                    yield from self._commit(item)
                    yield from self._complete(item, [])
                self._has_completed = False

    def _item(self, utterance: int) -> str:
        return f"{self._prefix}{utterance:06d}" if self.has_detection else self._current()

    def _current(self) -> str:
        """The item of what is heard now: the first that is committed and not yet cut, or the next."""
        return next((request.item for request in self._requests if request.item), self._manual())

    def _manual(self) -> str:
        return f"{self._prefix}c{self._count:05d}"

    def _is_cleared(self, utterance: int) -> bool:
        """Whether the client wants to hear no more of it: a clear is ahead, and no commit before that."""
        first = self._requests[0] if self._requests else None
        return first is not None and first.is_clear and utterance > self._committed

    def _commit(self, item: str) -> Iterator[Event]:
        before, self._before = self._before, item
        self._open.add(item)
        place = {"previous_item_id": before}
        entry = {
            "id": item,
            "object": "realtime.item",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        yield {"type": "input_audio_buffer.committed", "item_id": item} | place
        yield {"type": "conversation.item.added", "item": entry} | place
        yield {"type": "conversation.item.done", "item": entry} | place

    def _delta(self, item: str, text: str, *, is_final: bool = False) -> Iterator[Event]:
        """What is new of an item's text; nothing where it says otherwise than what was told. After a final that does
        the next deltas go on behind it all the same."""
        new_text = " ".join([*(final["text"].strip() for final in self._finals), text.strip()]).strip()
        old_text = self._texts.get(item, "")
        if not new_text.startswith(old_text):
            self._texts[item] = new_text if is_final else old_text
            return
        if new_text == old_text:
            return
        self._texts[item] = new_text
        yield _about(item, "delta") | {"delta": new_text[len(old_text) :]}

    def _complete(self, item: str, finals: list[dict[str, Any]]) -> Iterator[Event]:
        text = " ".join(text for final in finals if (text := final["text"].strip()))
        old_text = self._texts.pop(item, "")
        if text.startswith(old_text) and text != old_text:
            yield _about(item, "delta") | {"delta": text[len(old_text) :]}
        self._open.discard(item)
        self._has_completed = True
        event = _about(item, "completed") | {"transcript": text}
        seconds = sum(final["end"] - final["start"] for final in finals)
        event["usage"] = {"type": "duration", "seconds": round(seconds, 3)}
        event["languages"] = [{"code": code} for code in dict.fromkeys(each["language"] for each in finals) if code]
        if self.has_logprobs:
            event["logprobs"] = [_logprob(word) for final in finals for word in final["words"]]
        yield event


def _about(item: str, what: str) -> Event:
    return {"type": f"conversation.item.input_audio_transcription.{what}", "item_id": item, "content_index": 0}


def _logprob(word: dict[str, Any]) -> dict[str, Any]:
    token = str(word["text"])
    return {"token": token, "bytes": list(token.encode()), "logprob": math.log(max(word["probability"], LEAST))}
