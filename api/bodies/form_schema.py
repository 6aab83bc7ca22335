"""JSON Schemas of forms, for OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def in_form(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An object's schema as it holds in a form, whose fields are never null: they are left out instead."""
    return {**schema, "properties": {name: _without_null(field) for name, field in schema["properties"].items()}}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    about = {name: value for name, value in schema.items() if name != "anyOf" and (name, value) != ("default", None)}
    return {**kinds[0], **about}
