"""The API of whisper-asr-webservice, which media servers and subtitle tools speak."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import PurePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from api.bodies.choices import Switch
from api.bodies.schemas import file_form
from api.contracts import late_answers
from api.contracts.contract_request import WAITING, ContractRequest, ContractRequestDep, Finished, numbered_speaker
from api.contracts.late_answers import BreakableResponse, LateAnswer
from api.contracts.openai_answers import verbose_segment
from api.delivery import content_disposition
from api.errors import responses
from api.intake import parameters
from api.intake.ingest import Upload
from api.intake.parameters import JobSpec
from api.transcripts.formats import render
from shared.abilities import is_english_only
from shared.config import Settings
from shared.errors import InvalidRequest
from shared.intake.filenames import safe_filename
from shared.languages import LANGUAGES
from shared.models import Job
from shared.options import JobOptions
from shared.transcript import SAMPLE_RATE, Segment, Transcript

router = APIRouter(tags=["whisper-asr-webservice"], responses=responses(*WAITING))

FILE_FIELD = "audio_file"

Output = Literal["txt", "vtt", "srt", "tsv", "json"]
OUR_FORMATS = {"txt": "text", "vtt": "vtt", "srt": "srt", "tsv": "tsv"}

UNKNOWN_SIZE = 0xFFFFFFFF
"""What a WAV header says when the file was not finished: read on to the end."""

HEADER_OF_RAW_PCM = struct.pack(
    "<4sI4s4sIHHIIHH4sI",
    *(b"RIFF", UNKNOWN_SIZE, b"WAVE", b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16, b"data", UNKNOWN_SIZE),
)
"""encode=false means signed 16-bit mono samples at 16 kHz and nothing before them."""

Speakers = Annotated[int, Field(ge=1, le=50)] | None


class RecordingQuery(BaseModel):
    """What the query says of the recording. A name that is not here is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encode: Switch = Field(True, description="false: the file holds bare 16-bit mono samples at 16 kHz")
    video_file: str | None = Field(None, description="Name of the recording, with or without a path")


class AsrQuery(RecordingQuery):
    """What the query asks for."""

    task: Literal["transcribe", "translate"] = "transcribe"
    language: str = Field("", description="Code, tag or name; empty means detect")
    model: str = Field("", description="One of GET /models or of OpenAI's names; empty means the default")
    initial_prompt: str = Field("", max_length=2000)
    hotwords: str = Field("", description="Names and terms likely to be spoken")
    vad_filter: Switch = Field(False, description="Silence is left out in any case")
    word_timestamps: Switch = Field(False, description="Put words into json")
    diarize: Switch | None = Field(None, description="Say who spoke when")
    enable_diarization: Switch | None = Field(None, description="The same as diarize")
    num_speakers: Speakers = Field(None, description="Only with diarize=true")
    min_speakers: Speakers = Field(None, description="Only with diarize=true")
    max_speakers: Speakers = Field(None, description="Only with diarize=true")
    return_speaker_embeddings: Switch = Field(False, description="Only false: there are none to return")
    output: Output = "txt"

    @field_validator("enable_diarization")
    @classmethod
    def _says_the_same(cls, enabled: bool | None, query: ValidationInfo) -> bool | None:
        if None not in (enabled, query.data.get("diarize")) and enabled != query.data["diarize"]:
            raise InvalidRequest("diarize is given twice, under two names.", parameter="diarize")
        return enabled

    @field_validator("return_speaker_embeddings")
    @classmethod
    def _has_none(cls, flag: bool) -> bool:
        if flag:
            raise InvalidRequest(
                "This server returns no embeddings of speakers. Leave return_speaker_embeddings out.",
                parameter="return_speaker_embeddings",
            )
        return flag

    def options(self, config: Settings) -> dict[str, object]:
        """The same in our words."""
        diarizes = bool(self.diarize or self.enable_diarization)
        bounds = self.model_dump(include={"num_speakers", "min_speakers", "max_speakers"}) if diarizes else {}
        return {
            "task": self.task,
            "language": self.language,
            "model": config.openai_aliases.get(self.model, self.model),
            "prompt": self.initial_prompt,
            "hotwords": self.hotwords,
            "diarization": diarizes,
            **bounds,
        }


@router.post(
    "/asr",
    response_model=None,
    summary="Transcribe a recording, as whisper-asr-webservice does",
    openapi_extra=file_form(file_field=FILE_FIELD),
    responses={200: {"content": {"text/plain": {}}}},
)
async def asr(contract: ContractRequestDep, query: Annotated[AsrQuery, Query()]) -> Response:
    """Waits for the transcript. If the client goes away the task goes on.

    What takes longer than 50 s is begun without the transcript: status 200, then white space every 10 s, and at last
    the body; an error then breaks the connection off.

    curl -H "Authorization: Bearer $API_KEY" -F audio_file=@film.mp4 "$URL/asr?output=srt"
    """
    job = await _submitted(contract, query.options(contract.config), query)
    model = JobOptions.from_row(job.options).model
    stem = PurePath(job.filename or "").stem or "transcript"
    headers = {"Asr-Engine": model, "Content-Disposition": content_disposition(f"{stem}.{query.output}")}
    return await _answer(contract, job, query.output, partial(_body, query=query), headers)


@router.post(
    "/detect-language",
    response_model=None,
    summary="Tell the language of a recording, as whisper-asr-webservice does",
    openapi_extra=file_form(file_field=FILE_FIELD),
)
async def detect_language(contract: ContractRequestDep, query: Annotated[RecordingQuery, Query()]) -> Response:
    """Transcribes the whole recording, so that the answer rests on all of it and /asr has it at once afterwards.

    It is late as that of /asr is.

    curl -H "Authorization: Bearer $API_KEY" -F audio_file=@film.mp4 $URL/detect-language
    """
    if is_english_only(contract.config.whisper_model):
        raise InvalidRequest("This server's model knows English only, so it cannot tell languages apart.")
    return await _answer(contract, await _submitted(contract, {}, query), "json", _language, {})


async def _submitted(contract: ContractRequest, options: Mapping[str, object], query: RecordingQuery) -> Job:
    def read(_: Upload) -> tuple[JobSpec, None]:
        return parameters.parse(options, contract.config), None

    job, _ = await contract.submit(
        read,
        field_names=(),
        file_field=FILE_FIELD,
        preamble=b"" if query.encode else HEADER_OF_RAW_PCM,
        filename=safe_filename(query.video_file or ""),
    )
    return job


async def _answer(
    contract: ContractRequest,
    job: Job,
    format_name: str,
    body: Callable[[Transcript], str],
    headers: Mapping[str, str],
) -> Response:
    """The body when the job is done; after `CONTRACT_HEADERS_S` it begins without it. Raises as `until_headers`."""
    headers = {**headers, "X-Task-Id": str(job.id)}
    media_type = "application/json" if format_name == "json" else "text/plain"
    if contract.request.scope["http_version"] == "1.0":  # could not see that a late answer was broken off
        result: Finished | None = await contract.finished(job.id)
    else:
        result = await late_answers.until_headers(contract, job.id)
    if result:
        return Response(body(result.transcript), media_type=media_type, headers=headers)
    pieces = _late(LateAnswer(contract, job.id, format_name), body)
    return BreakableResponse(pieces, media_type=media_type, headers=headers | late_answers.HEADERS)


async def _late(answer: LateAnswer, body: Callable[[Transcript], str]) -> AsyncIterator[str]:
    async for space in answer.white_space():
        yield space
    yield answer.rest(body((await answer.finished()).transcript))


def _body(transcript: Transcript, query: AsrQuery) -> str:
    if query.output == "json":
        return json.dumps(_json(transcript, words=query.word_timestamps), ensure_ascii=False)
    return render(transcript, OUR_FORMATS[query.output])


def _language(transcript: Transcript) -> str:
    """The answer of /detect-language."""
    return json.dumps(
        {
            "detected_language": LANGUAGES.get(transcript.language, transcript.language).lower(),
            "language_code": transcript.language,
            "confidence": round(transcript.language_probability, 3),
        }
    )


def _json(transcript: Transcript, *, words: bool) -> dict[str, Any]:
    return {
        "text": transcript.text,
        "segments": [_segment(segment, words=words) for segment in transcript.segments],
        "language": transcript.language,
    }


def _segment(segment: Segment, *, words: bool) -> dict[str, Any]:
    body = verbose_segment(segment, temperature=0.0)
    if segment.speaker:
        body["speaker"] = numbered_speaker(segment.speaker)
    if words:
        body["words"] = [
            {"word": word.text, "start": word.start, "end": word.end, "probability": round(word.confidence, 3)}
            for word in segment.words
        ]
    return body
