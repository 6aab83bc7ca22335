"""The folders of the speech models below MODEL_DIR, and whether all weights are in them."""

from __future__ import annotations

from pathlib import Path

from shared.abilities import abilities
from shared.config import Settings
from shared.errors import ModelUnavailable

ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}
"""Short names and the folder their weights are in."""

WHISPER_FILES = ("model.bin", "config.json", "tokenizer.json")
"""What a folder must hold, beside a vocabulary. Without tokenizer.json faster-whisper would ask the Hub for one."""


def folder(config: Settings, name: str) -> Path:
    """Where the weights of the model `name` belong."""
    if abilities(name).engine == "onnx":
        return config.model_dir / "onnx" / name
    return config.model_dir / "whisper" / ALIASES.get(name, name)


def weight_files(config: Settings, name: str) -> list[Path]:
    """What must be in MODEL_DIR for this speech model, as far as it can be told by name."""
    files = ("config.json",) if abilities(name).engine == "onnx" else WHISPER_FILES
    return [folder(config, name) / file for file in files]


def check(config: Settings, name: str) -> None:
    """Raises ModelUnavailable, with what is missing and where it comes from, unless all weights are there."""
    path, missing = folder(config, name), [file.name for file in weight_files(config, name) if not file.is_file()]
    if abilities(name).engine == "onnx":
        if missing or not any(path.glob("*.onnx")):
            raise ModelUnavailable(
                f"The weights of {name} are not here: MODEL_DIR/onnx/{name} has no config.json or no .onnx file "
                "(docs/models.md says where they come from)."
            )
        return
    if not any(path.glob("vocabulary.*")):
        missing.append("vocabulary.json")
    if missing:
        raise ModelUnavailable(
            f"The weights of {name} are not here ({', '.join(missing)} missing). "
            f"Fetch them with: python -m scripts.download_models --model {path.name}"
        )


def installed(config: Settings) -> list[str]:
    """The offered models whose weights are all there."""
    return [name for name in config.allowed_models if _is_installed(config, name)]


def _is_installed(config: Settings, name: str) -> bool:
    try:
        check(config, name)
    except (ModelUnavailable, OSError):  # a folder that this process may not read is of no use to it
        return False
    return True
