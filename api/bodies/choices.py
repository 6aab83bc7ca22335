"""Fields that take one of a few texts, and those that take true or false."""

from __future__ import annotations

from typing import Annotated, Any, get_args

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


def trimmed(value: object) -> object:
    """A text without the spaces around it."""
    return value.strip() if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(trimmed)]
"""A parameter of a query that is true or false."""
