"""The example of an environment file is the settings, written out."""

from pathlib import Path

import pytest

from scripts.local.env_example import env_example
from shared.config import Settings

EXAMPLE = Path(__file__).parents[3] / ".env.example"


def test_env_example_is_what_the_settings_say() -> None:
    """A setting that is added, renamed, described anew or given another default shows in .env.example."""
    assert EXAMPLE.read_text() == env_example(), "run: python -m scripts.local env-example > .env.example"


def test_every_setting_is_in_it() -> None:
    """No variable that the settings read is missing from the file."""
    named = {line.lstrip("#").partition("=")[0] for line in EXAMPLE.read_text().splitlines() if "=" in line}
    assert {name.upper() for name in Settings.model_fields} <= named


def test_the_defaults_can_be_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file made from the example, with the two addresses filled in, gives the defaults."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    file = tmp_path / "env"
    lines = [
        line[1:] if line.startswith("#") and "=" in line and line[1].isupper() else line
        for line in EXAMPLE.read_text().splitlines()
    ]
    addresses = {"DATABASE_URL=": "DATABASE_URL=postgresql+psycopg://db/parley", "REDIS_URL=": "REDIS_URL=redis://r/0"}
    file.write_text("\n".join(addresses.get(line, line) for line in lines))

    defaults = Settings(_env_file=file)

    for name, field in Settings.model_fields.items():
        if not field.is_required() and name != "scratch_dir":  # below the system's own temporary folder
            assert getattr(defaults, name) == field.default, name
