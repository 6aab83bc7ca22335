"""Bodies of requests for OpenAPI, from their models.

FastAPI cannot derive them, because the bodies are read by ourselves, after the key (api/intake/body_limits.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

FORM, URLENCODED = "multipart/form-data", "application/x-www-form-urlencoded"
BYTES, JSON = "application/octet-stream", "application/json"

FILE = "file"
"""The field of a form that holds the recording."""


class NoFields(BaseModel):
    """A form that holds nothing but the file."""

    model_config = ConfigDict(extra="forbid")


def request_body(content: Mapping[str, dict[str, Any]], *, required: bool = True) -> dict[str, Any]:
    """A route's `openapi_extra`, of a schema for each content type."""
    kinds = {kind: {"schema": schema} for kind, schema in content.items()}
    return {"requestBody": {"required": required, "content": kinds}}


def described(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """A route's `openapi_extra` for a body of JSON."""
    return request_body({JSON: json_schema(model)}, required=required)


def file_form(model: type[BaseModel] = NoFields, file_field: str = FILE) -> dict[str, Any]:
    """A route's `openapi_extra` for a form of these fields and a file."""
    return request_body({FORM: form_schema(model, file_field)})


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model, with what it refers to in place: OpenAPI would look for it elsewhere."""
    schema = model.model_json_schema()
    inlined: dict[str, Any] = _inlined(schema, schema.pop("$defs", {}))
    return inlined


def form_schema(model: type[BaseModel], file_field: str | None = None) -> dict[str, Any]:
    """The schema as it holds in a form, whose fields are never null: they are left out instead."""
    schema = json_schema(model)
    fields = {name: _without_null(field) for name, field in schema.get("properties", {}).items()}
    if file_field is None:
        return {**schema, "properties": fields}
    file = {"type": "string", "format": "binary", "description": "Any audio or video file"}
    return {**schema, "properties": {file_field: file, **fields}, "required": [file_field]}


def _inlined(part: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(part, list):
        return [_inlined(one, definitions) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inlined(definitions[part["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(value, definitions) for name, value in part.items()}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if not kinds:
        return schema
    about = {name: value for name, value in schema.items() if name != "anyOf" and (name, value) != ("default", None)}
    return {**kinds[0], **about} if len(kinds) == 1 else {"anyOf": kinds, **about}
