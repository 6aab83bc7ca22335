"""The body of POST /transcribe in OpenAPI: a form, JSON or urlencoded.

FastAPI cannot derive it, because the route reads the stream itself.
"""

from __future__ import annotations

from typing import Any

from api.bodies.form_schema import in_form
from shared.options import JobNotes, JobOptions

JSON = "application/json"
URLENCODED = "application/x-www-form-urlencoded"

OPTIONS: dict[str, Any] = {
    **JobOptions.model_json_schema()["properties"],
    **JobNotes.model_json_schema()["properties"],
    "tags": {"type": "string", "description": "Labels to find the task by, separated by commas"},
    "language": {"type": "string", "default": "auto", "description": "Code or English name; auto detects"},
    "lang": {"type": "string", "description": "The same as language"},
    "response_format": {**JobOptions.model_json_schema()["properties"]["format"], "description": "The same as format"},
    "priority": {"type": "string", "enum": ["interactive", "normal", "batch"], "default": "normal"},
    "wait": {
        "type": "number",
        "minimum": 0,
        "default": 0,
        "description": "Seconds to wait for the result; the same as the header Prefer: wait=N",
    },
}

FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "Any audio or video file"},
        **OPTIONS,
    },
}

BY_URL: dict[str, Any] = {
    "type": "object",
    "required": ["url"],
    "additionalProperties": False,
    "properties": {
        "url": {
            "type": "string",
            "minLength": 1,
            "description": "Address of a recording, of a page with one, or s3://bucket/key where that is offered",
            "examples": ["https://media.example/meeting.mp3"],
        },
        "refresh": {
            "type": "boolean",
            "default": False,
            "description": "Fetch it again even if it was fetched before",
        },
        **OPTIONS,
    },
}

BY_UPLOAD: dict[str, Any] = {
    "type": "object",
    "required": ["upload_id"],
    "additionalProperties": False,
    "properties": {
        "upload_id": {"type": "string", "format": "uuid", "description": "A complete upload of POST /uploads"},
        **OPTIONS,
    },
}

BODIES: dict[str, Any] = {
    "multipart/form-data": {"schema": {"oneOf": [in_form(FORM), in_form(BY_URL), in_form(BY_UPLOAD)]}},
    JSON: {"schema": {"oneOf": [BY_URL, BY_UPLOAD]}},
    URLENCODED: {"schema": {"oneOf": [in_form(BY_URL), in_form(BY_UPLOAD)]}},
}
"""By content type."""
