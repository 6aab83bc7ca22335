"""Cells of tables that people open in a spreadsheet: what would be computed there is made to be shown."""

from __future__ import annotations

import re

_FORMULA = re.compile("['\\s\u200b\ufeff]*[=+\\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")
"""OWASP, CSV injection: signs that begin a formula, full-width ones too, behind what an import may strip."""


def guarded(text: str) -> str:
    """`text` with an apostrophe in front where it begins like a formula. `unguarded` gives it back exactly."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """What `guarded` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell
