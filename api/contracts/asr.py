"""The API of whisper-asr-webservice, which media servers and subtitle tools speak."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from api.bodies.choices import Switch
from api.bodies.schemas import file_form
from api.contracts.contract_request import WAITING, ContractRequest, ContractRequestDep, Finished
from api.contracts.openai_answers import verbose_segment
from api.delivery import content_disposition
from api.errors import responses
from api.intake import parameters
from api.intake.ingest import Upload
from api.intake.parameters import JobSpec
from api.transcripts.formats import render
from shared.abilities import is_english_only
from shared.errors import InvalidRequest
from shared.languages import LANGUAGES
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

Encode = Annotated[Switch, Query(description="false: the file holds bare 16-bit mono samples at 16 kHz")]
Speakers = Annotated[int | None, Query(ge=1, le=50, description="Only with diarize=true")]


@router.post(
    "/asr",
    response_model=None,
    summary="Transcribe a recording, as whisper-asr-webservice does",
    openapi_extra=file_form(file_field=FILE_FIELD),
    responses={200: {"content": {"text/plain": {}}}},
)
async def asr(
    contract: ContractRequestDep,
    encode: Encode = True,
    task: Annotated[Literal["transcribe", "translate"], Query()] = "transcribe",
    language: Annotated[str, Query(description="Code, tag or name; empty means detect")] = "",
    initial_prompt: Annotated[str, Query(max_length=2000)] = "",
    vad_filter: Annotated[Switch, Query(description="Silence is left out in any case")] = False,
    word_timestamps: Annotated[Switch, Query(description="Put words into json")] = False,
    diarize: Annotated[Switch, Query(description="Say who spoke when")] = False,
    min_speakers: Speakers = None,
    max_speakers: Speakers = None,
    output: Output = "txt",
) -> Response:
    """Waits for the transcript. If the client goes away the task goes on.

    curl -H "Authorization: Bearer $API_KEY" -F audio_file=@film.mp4 "$URL/asr?output=srt"
    """
    bounds = {"min_speakers": min_speakers, "max_speakers": max_speakers} if diarize else {}
    options = {
        "task": task,
        "language": language,
        "prompt": initial_prompt,
        "diarization": diarize,
        **bounds,
    }
    result = await _transcribed(contract, options, encode)
    stem = PurePath(result.job.filename or "").stem or "transcript"
    headers = {
        "Asr-Engine": result.transcript.model,
        "Content-Disposition": content_disposition(f"{stem}.{output}"),
        "X-Task-Id": str(result.job.id),
    }
    if output == "json":
        body = json.dumps(_json(result.transcript, words=word_timestamps), ensure_ascii=False)
        return Response(body, media_type="application/json", headers=headers)
    return Response(render(result.transcript, OUR_FORMATS[output]), media_type="text/plain", headers=headers)


@router.post(
    "/detect-language",
    response_model=None,
    summary="Tell the language of a recording, as whisper-asr-webservice does",
    openapi_extra=file_form(file_field=FILE_FIELD),
)
async def detect_language(contract: ContractRequestDep, encode: Encode = True) -> dict[str, Any]:
    """Transcribes the whole recording, so that the answer rests on all of it and /asr has it at once afterwards.

    curl -H "Authorization: Bearer $API_KEY" -F audio_file=@film.mp4 $URL/detect-language
    """
    if is_english_only(contract.config.whisper_model):
        raise InvalidRequest("This server's model knows English only, so it cannot tell languages apart.")
    transcript = (await _transcribed(contract, {}, encode)).transcript
    return {
        "detected_language": LANGUAGES.get(transcript.language, transcript.language).lower(),
        "language_code": transcript.language,
        "confidence": round(transcript.language_probability, 3),
    }


async def _transcribed(contract: ContractRequest, options: Mapping[str, object], encode: bool) -> Finished:
    def read(_: Upload) -> tuple[JobSpec, None]:
        return parameters.parse(options, contract.config), None

    preamble = b"" if encode else HEADER_OF_RAW_PCM
    job, _ = await contract.submit(read, field_names=(), file_field=FILE_FIELD, preamble=preamble)
    return await contract.finished(job.id)


def _json(transcript: Transcript, *, words: bool) -> dict[str, Any]:
    return {
        "text": transcript.text,
        "segments": [_segment(segment, words=words) for segment in transcript.segments],
        "language": transcript.language,
    }


def _segment(segment: Segment, *, words: bool) -> dict[str, Any]:
    body = verbose_segment(segment, temperature=0.0)
    if segment.speaker:
        body["speaker"] = segment.speaker
    if words:
        body["words"] = [
            {"word": word.text, "start": word.start, "end": word.end, "probability": round(word.confidence, 3)}
            for word in segment.words
        ]
    return body
