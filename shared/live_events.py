"""What a live session says while its recording arrives. Times are seconds of the session, from its first sample."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LiveWord:
    """A word as it is written, with its place in the session."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody begins to speak: the utterance begins."""

    utterance: int
    at: float


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """A pause that ends the utterance, or a cut in speech without one; its final follows."""

    utterance: int
    at: float


@dataclass(frozen=True, slots=True)
class Partial:
    """Text of an utterance that goes on.

    committed : words that stay as they are until the utterance's final; each event repeats them all
    tail      : what may follow, as heard last; the next event may say otherwise
    """

    utterance: int
    start: float
    committed: str
    tail: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Final:
    """An utterance's text, which never changes again. It takes the place of the committed words.

    replaced : committed words that it says otherwise
    is_cut   : there was no pause behind it: it had become too long, or the client asked for its end
    model    : the one that recognised it
    """

    utterance: int
    start: float
    end: float
    text: str
    words: tuple[LiveWord, ...]
    language: str | None = None
    replaced: tuple[str, ...] = ()
    speaker: str | None = None
    is_cut: bool = False
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """Here the client asked for the end of what was being said: the finals of all before it have been told.

    utterance : the last one before it, -1 where there was none
    frame : the empty frame that asked for it. After a takeover the same one may be told again
    """

    utterance: int
    frame: int


LiveEvent = SpeechStarted | SpeechStopped | Partial | Final | Cut
