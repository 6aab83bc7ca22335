"""Conversations of two actors, of the dubbed game Fish Fillets, whose scripts have the text of each line."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.evaluate.sources import Clip, debian, decode

LANGUAGES = ("cs", "nl")
LEVELS = ("barrel", "library")
"""Those with long talks and no singing."""

GAMES = Path("usr/share/games/fillets-ng")
LINE = re.compile(r'dialogId\("([^"]+)", "font_(small|big)", "[^\n]*\n(?:dialogStr\("(.*)"\))?')


def dialogue(language: str, level: str) -> list[Clip]:
    """The lines of a level in the script's order; its voices are the small and the big fish. Raises Unavailable."""
    folder = debian("fillets-ng-data", "fillets-ng-data-cs", "fillets-ng-data-nl") / GAMES
    script = (folder / "script" / level / f"dialogs_{language}.lua").read_text("utf-8")
    sounds = folder / "sound" / level / language
    return [
        Clip(f"{language}-{fish}", language, text, decode(sounds / f"{name}.ogg"))
        for name, fish, text in lines(script)
        if (sounds / f"{name}.ogg").exists()
    ]


def lines(script: str) -> list[tuple[str, str, str]]:
    """Name, fish and text of each line that is translated and that one of the two fish says."""
    return [(name, fish, text) for name, fish, text in LINE.findall(script) if text]
