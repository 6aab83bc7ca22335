"""OpenAI's audio API: its SDKs work with nothing but another base URL and key."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from api.bodies.model_names import own_name
from api.bodies.schemas import file_form
from api.contracts import late_answers, openai_answers, openai_errors, openai_forms, openai_request, openai_stream
from api.contracts.contract_request import WAITING, ContractRequestDep
from api.contracts.late_answers import LateAnswer
from api.contracts.openai_errors import OpenAIRoute, responses
from api.contracts.openai_forms import FORMS, Task, TranscriptionForm, TranslationForm
from api.contracts.openai_request import AnswerOptions
from api.dependencies import CallerDep, SettingsDep
from shared.config import Settings
from shared.errors import DatabaseUnavailable, Forbidden, ModelNotAllowed, ParleyError, Unauthorized

router = APIRouter(tags=["OpenAI"], route_class=OpenAIRoute)

OWNER = "parley"

CREATED = 1_663_718_400
"""2022-09-21, when Whisper was published. Clients show it as a date; of single models it is not known."""


@router.post(
    "/v1/audio/transcriptions",
    response_model=None,
    summary="Transcribe a recording, as OpenAI's API does",
    openapi_extra=file_form(TranscriptionForm),
    responses={200: {"content": {"text/plain": {}, "text/event-stream": {}}}, **responses(*WAITING)},
)
async def transcriptions(contract: ContractRequestDep) -> Response:
    """Waits for the transcript, or streams it with stream=true. If the client goes away the task goes on.

    What takes longer than 50 s is begun without the transcript: status 200, then white space every 10 s, and at last
    the body; an error then has status 200 and OpenAI's error object as its body.

    curl -H "Authorization: Bearer $API_KEY" -F file=@meeting.mp3 -F model=whisper-1 $URL/v1/audio/transcriptions
    """
    return await _answer(contract, "transcribe")


@router.post(
    "/v1/audio/translations",
    response_model=None,
    summary="Translate a recording into English, as OpenAI's API does",
    openapi_extra=file_form(TranslationForm),
    responses={200: {"content": {"text/plain": {}}}, **responses(*WAITING)},
)
async def translations(contract: ContractRequestDep) -> Response:
    """The same with English text, whatever is spoken; only streams there are none.

    curl -H "Authorization: Bearer $API_KEY" -F file=@rede.mp3 -F model=whisper-1 $URL/v1/audio/translations
    """
    return await _answer(contract, "translate")


@router.get(
    "/v1/models",
    response_model=None,
    summary="Models, as OpenAI's API lists them",
    responses=responses(Unauthorized, Forbidden, DatabaseUnavailable),
)
def models(caller: CallerDep, config: SettingsDep) -> dict[str, Any]:
    """OpenAI's own names that are understood, and all of ours."""
    return {"object": "list", "data": [_model(name) for name in _names(config)]}


@router.get(
    "/v1/models/{model:path}",  # names of the Hub have a slash
    response_model=None,
    summary="One model, as OpenAI's API shows it",
    responses=responses(Unauthorized, Forbidden, ModelNotAllowed, DatabaseUnavailable),
)
def model(model: str, caller: CallerDep, config: SettingsDep) -> dict[str, Any]:
    """404 `model_not_found` for one that this server does not offer; also by its name on the Hugging Face Hub."""
    names = _names(config)
    if own_name(model, names) not in names:
        raise ModelNotAllowed(f"This server does not offer the model {model[:100]!r}.", parameter="model")
    return _model(model)


async def _answer(contract: ContractRequestDep, task: Task) -> Response:
    job, options = await contract.submit(
        lambda upload: openai_request.read(upload, task, contract.config),
        field_names=openai_forms.field_names(FORMS[task]),
        repeatable=openai_forms.repeatable(FORMS[task]),
    )
    headers = {"X-Task-Id": str(job.id)}
    if options.stream:
        await openai_stream.check(contract, job.id)
        body = openai_stream.events(contract, job.id, options)
        return StreamingResponse(body, media_type="text/event-stream", headers=headers | openai_stream.HEADERS)
    # text/plain also for subtitles, as OpenAI answers
    media_type = "application/json" if options.format.endswith("json") else "text/plain"
    if result := await late_answers.until_headers(contract, job.id):
        return Response(openai_answers.body(result.transcript, options), media_type=media_type, headers=headers)
    body = _late(late_answers.LateAnswer(contract, job.id, options.format), options)
    return StreamingResponse(body, media_type=media_type, headers=headers | late_answers.HEADERS)


async def _late(answer: LateAnswer, options: AnswerOptions) -> AsyncIterator[str]:
    """The body. An error is OpenAI's object, whatever the format."""
    try:
        async for space in answer.white_space():
            yield space
        transcript = (await answer.finished()).transcript
    except ParleyError as error:
        yield json.dumps(openai_errors.body(error), ensure_ascii=False)
    else:
        yield answer.rest(openai_answers.body(transcript, options))


def _names(config: Settings) -> dict[str, None]:
    return dict.fromkeys((*config.openai_aliases, *config.allowed_models))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": OWNER}
