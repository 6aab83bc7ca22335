"""Fields that take one of a few texts."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BeforeValidator, ValidationInfo

from shared.errors import InvalidRequest


def one_of(choices: Any) -> BeforeValidator:
    """Refuse whatever is not in this Literal, and say what is. Raises InvalidRequest."""
    texts: tuple[str, ...] = get_args(choices)

    def check(value: object, field: ValidationInfo) -> object:
        if value not in texts:
            raise InvalidRequest(f"{field.field_name} must be one of {', '.join(texts)}.", parameter=field.field_name)
        return value

    return BeforeValidator(check)
