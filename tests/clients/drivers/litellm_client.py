"""litellm against Parley, as `openai/MODEL`. Prints what it made of the answers, as JSON.

OPENAI_BASE_URL, OPENAI_API_KEY; RESTARTING_URL refuses the first request of all. Argument: a recording.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import litellm
import openai

RECORDING = sys.argv[1]
MODEL = "openai/whisper-1"


def transcribe(**options: Any) -> Any:
    with open(RECORDING, "rb") as file:  # noqa: PTH123 - as in litellm's own examples
        return litellm.transcription(**{"model": MODEL, "file": file, "max_retries": 0, **options})


async def async_text() -> str:
    with open(RECORDING, "rb") as file:  # noqa: PTH123
        return str((await litellm.atranscription(model=MODEL, file=file)).text)


def thrown(**options: Any) -> dict[str, Any]:
    try:
        transcribe(**options)
    except openai.APIStatusError as error:  # the base of litellm's own
        return {"name": type(error).__name__, "status": error.status_code, "message": str(error)}
    return {}


def main() -> None:
    words = transcribe(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    report = {
        "text, plain and async": [transcribe().text, asyncio.run(async_text())],
        "words and segments": words.model_dump(),
        "streams": [event.model_dump() for event in transcribe(model="openai/gpt-4o-transcribe", stream=True)],
        "typed errors": {
            "key": thrown(api_key="wrong"),
            "field": thrown(language="klingon"),
            "model": thrown(model="openai/whisper-9"),
        },
        "retries": transcribe(api_base=os.environ["RESTARTING_URL"], max_retries=2).text,
    }
    print(json.dumps(report))


main()
