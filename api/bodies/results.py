"""The transcript as JSON. Times are seconds of the recording, confidences go from 0 to 1."""

from __future__ import annotations

import uuid

from pydantic import BaseModel, Field

from api.bodies.tasks import TASK_ID
from shared.states import JobState


class ResultWord(BaseModel):
    """One spoken word."""

    word: str
    start: float
    end: float
    confidence: float
    speaker: str | None


class ResultSegment(BaseModel):
    """A stretch of speech by one speaker."""

    id: int
    start: float
    end: float
    speaker: str | None = Field(examples=["spk_1"])
    text: str
    confidence: float
    words: list[ResultWord] | None = Field(None, description="Only with timestamp_granularity=word")


class ResultSpeaker(BaseModel):
    """A voice and how long it talks."""

    id: str = Field(examples=["spk_1"])
    name: str | None = Field(None, description="Only of a speaker that a correction has named")
    seconds: float


class ResultWarning(BaseModel):
    """Something to know before trusting the text."""

    code: str = Field(description="Stable; docs/formats.md lists them", examples=["dropped_speech", "speakers_not_met"])
    message: str
    start: float | None
    end: float | None


class ResultParagraph(BaseModel):
    """Segments of one speaker that belong together, as in the text format."""

    start: float
    end: float
    speaker: str | None = Field(examples=["spk_1"])
    text: str


class ResultStretch(BaseModel):
    """A part of the recording."""

    start: float
    end: float


class ResultQuality(BaseModel):
    """How far the text can be trusted, by what the models say themselves."""

    speech_seconds: float = Field(description="In which somebody is heard; of split channels, on each of them")
    dropped_seconds: float = Field(description="Of speech in the stretches of `dropped`")
    overlap_seconds: float | None = Field(description="In which several talk at once; null without speakers")
    words: int
    uncertain_words: int = Field(description="With a confidence below 0.5")
    mean_confidence: float | None = Field(description="Of all words; null without words", examples=[0.87])
    dropped: list[ResultStretch] = Field(description="Somebody speaks for 1 s or more, and there are no words")
    loops: list[ResultStretch] = Field(description="The recogniser repeats itself")
    low_confidence: list[ResultStretch] = Field(description="Segments with a confidence below 0.5")
    damaged: list[ResultStretch] = Field(description="Sound is missing in the recording")


class Result(BaseModel):
    """The transcript as JSON."""

    task_id: uuid.UUID = Field(examples=[TASK_ID])
    status: JobState
    version: int = Field(description="Which version of the transcript this is; 0 is the original", examples=[0])
    language: str = Field(examples=["en"])
    language_probability: float
    script: str | None = Field(
        description="That Chinese text was put into; null if none was asked for", examples=["Hant"]
    )
    duration: float
    model: str
    segments: list[ResultSegment]
    paragraphs: list[ResultParagraph]
    speakers: list[ResultSpeaker]
    full_text: str
    text: str = Field(description="The same as full_text")
    warnings: list[ResultWarning]
    quality: ResultQuality | None = Field(description="Null in transcripts made before there was a report")
    processing_time: float | None
    cached: bool
