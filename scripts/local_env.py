""".env.example, written from shared/config.py: every variable with its default and what it means."""

from __future__ import annotations

import tempfile
import textwrap
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from shared.config import Settings

HEAD = """\
# Every variable that Parley reads, with its default. Written by `python -m scripts.local env-example`.
# `make run` needs none of them: it starts its own servers and passes their addresses on.
"""


def env_example() -> str:
    """The text of the file. A variable that has a default is commented out; one that must be given is not."""
    entries = [_entry(name.upper(), field) for name, field in Settings.model_fields.items()]
    return "\n".join([HEAD, *entries])


def _entry(name: str, field: FieldInfo) -> str:
    comment = textwrap.fill(field.description or "", 118, initial_indent="# ", subsequent_indent="# ")
    if field.default is PydanticUndefined:
        return f"{comment}\n{name}=\n"
    return f"{comment}\n#{name}={_text(field.default)}\n"


def _text(default: object) -> str:
    """A default as it would be written in the environment."""
    if default is None:
        return ""
    if isinstance(default, float) and default.is_integer():
        return str(int(default))
    if isinstance(default, Path) and default.is_relative_to(tempfile.gettempdir()):
        return str("/tmp" / default.relative_to(tempfile.gettempdir()))  # noqa: S108 - the same text on every machine
    return str(default)
