"""What the page's types are made of: the OpenAPI document, without the APIs of other products, errors and prose.

python -m scripts.page.types | npm --prefix web run types       # writes web/src/api/schema.d.ts
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

FOREIGN = frozenset({"OpenAI", "whisper-asr-webservice", "service v1", "links", "jobs", "clips"})
"""Tags of calls that the page does not make."""


def document() -> dict[str, Any]:
    """The OpenAPI document of our own calls, with those schemas that they use."""
    # which servers there are does not show in it
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.setdefault(name, f"{'postgresql+psycopg' if name == 'DATABASE_URL' else 'redis'}://nobody")
    from api.main import create_app  # the settings come first

    whole = create_app().openapi()
    paths = {
        path: {method: _lean(call) for method, call in calls.items() if not FOREIGN & set(call.get("tags", ()))}
        for path, calls in whole["paths"].items()
    }
    paths = {path: calls for path, calls in paths.items() if calls}
    schemas = {name: _plain(schema) for name, schema in _used(whole["components"]["schemas"], paths).items()}
    return {**whole, "paths": paths, "components": {"schemas": schemas}}


def _lean(call: dict[str, Any]) -> dict[str, Any]:
    """A call without its prose, and with those answers that are no errors: errors all look the same."""
    answers = {
        status: {"description": "", "content": answer.get("content", {})}
        for status, answer in call["responses"].items()
        if status.startswith("2")
    }
    parts = {name: call[name] for name in ("parameters", "requestBody") if name in call}
    lean: dict[str, Any] = _plain({**parts, "responses": answers})
    return lean


def _plain(value: Any) -> Any:
    """The same without titles, descriptions and examples."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _plain(one)
        for name, one in value.items()
        if not (name in ("title", "description") and isinstance(one, str)) and name not in ("example", "examples")
    } | ({"description": ""} if "content" in value else {})


def _used(schemas: dict[str, Any], paths: dict[str, Any]) -> dict[str, Any]:
    """Those that are referred to, directly or by others."""
    names: set[str] = set()
    waiting = _references(paths)
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting |= _references(schemas[name])
    return {name: schema for name, schema in schemas.items() if name in names}


def _references(value: object) -> set[str]:
    if isinstance(value, dict):
        inner = {name for one in value.values() for name in _references(one)}
        reference = value.get("$ref")
        return inner | {reference.rpartition("/")[2]} if isinstance(reference, str) else inner
    if isinstance(value, list):
        return {name for one in value for name in _references(one)}
    return set()


if __name__ == "__main__":
    json.dump(document(), sys.stdout)
