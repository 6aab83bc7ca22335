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
    clips = []
    for name, fish, text in LINE.findall(script):
        sound = folder / "sound" / level / language / f"{name}.ogg"
        if text and sound.exists():
            clips.append(Clip(f"{language}-{fish}", language, text, decode(sound)))
    return clips
