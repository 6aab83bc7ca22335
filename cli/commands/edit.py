"""`parley edit`: correct a transcript in a text editor."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from argparse import Namespace
from pathlib import Path

from cli import remembered
from cli.arguments import Commands, identifier
from cli.client import Server
from cli.commands.output import print_json
from cli.correction import Correction, Form, FormError
from cli.failures import Exit, Failure, UsageError
from cli.screen import complain

EDITORS = ("nano", "vi")
"""What is tried where neither VISUAL nor EDITOR is set."""


def add(commands: Commands) -> None:
    """The command and its argument."""
    does = "correct the text and the speakers of a transcript in $VISUAL or $EDITOR"
    commands.add("edit", edit, does).add_argument("task", type=identifier, metavar="TASK")


def edit(server: Server, options: Namespace) -> Exit:
    """Send what was changed, if the transcript is still the one that was shown. Until then the text stays in a file."""
    editor = _editor()
    form = Form(server.transcript(options.task))
    draft = _draft(options.task, form.text)
    try:
        _run(editor, draft)
        text = draft.read_bytes().decode("utf-8-sig").replace("\r", "")
        correction = form.read(text)
        version = _send(server, options.task, form, correction, text) if correction else form.version
    except (FormError, ValueError) as error:
        raise Failure("form", f"{error} Nothing was sent. {_whereabouts(draft, form)}") from error
    except Failure as failure:
        failure.message += f" {_whereabouts(draft, form)}"
        raise
    draft.unlink()
    _report(options, form, correction, version)
    return Exit.DONE


def _editor() -> list[str]:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if editor:
        return shlex.split(editor)
    for name in EDITORS:
        if shutil.which(name):
            return [name]
    raise UsageError("There is no editor. Set EDITOR to one.")


def _draft(task_id: str, text: str) -> Path:
    """A new file that only its owner can read."""
    folder = remembered.state_folder() / "edits"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix=f"{task_id}-", suffix=".txt", dir=folder, delete=False
    ) as file:
        file.write(text)
    return Path(file.name)


def _run(editor: list[str], draft: Path) -> None:
    # Ctrl-C is the editor's own; unlike SIG_IGN, a function of ours does not reach it
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        process = subprocess.run((*editor, str(draft)), check=False)  # noqa: S603 - the user's own choice
    except OSError as error:
        raise Failure("editor", f"The editor {editor[0]} cannot be started ({error}). Set EDITOR.") from error
    finally:
        signal.signal(signal.SIGINT, before)
    if process.returncode:
        raise Failure("editor", f"The editor ended with {process.returncode}. Nothing was sent.")


def _send(server: Server, task_id: str, form: Form, correction: Correction, text: str) -> int:
    """The number of the new version. Raises Failure, also where somebody else corrected the transcript meanwhile."""
    try:
        return server.correct(task_id, correction.body(form.version))
    except Failure as failure:
        if failure.code != "version_conflict":
            raise
        # a correction whose answer was lost on its way was sent again, and then conflicts with itself
        newest = Form(server.transcript(task_id))
        try:
            is_there = not newest.read(text)
        except FormError:
            is_there = False
        if is_there:
            return newest.version
        message = f"Somebody else corrected it meanwhile: it is at version {newest.version}. Nothing was sent."
        raise Failure(failure.code, f"{message} Run the command again and carry your changes over.") from failure


def _whereabouts(draft: Path, form: Form) -> str:
    """Where the text is. One that nobody changed is not kept."""
    if draft.read_bytes() == form.text.encode():
        draft.unlink()
        return "The text was not changed."
    return f"Your text is in {draft}."


def _report(options: Namespace, form: Form, correction: Correction, version: int) -> None:
    if correction.missing:
        complain(f"Segments that are not in your text stay as they were: {correction.missing}.")
    if options.json:
        changes = {"speakers": correction.speakers, "segments": correction.segments}
        print_json({"task_id": options.task, "version": version, **changes})
        return
    if not correction:
        print(f"{options.task}  nothing was changed, version {version}")
        return
    print(f"{options.task}  version {version}")
    for speaker, name in correction.speakers.items():
        print(f"  {speaker} is {name}" if name else f"  {speaker} has no name any more")
    for change in correction.segments:
        place = form.place(change["id"])
        if "text" in change:
            before = " ".join(form.segments[change["id"]]["text"].split())
            print(f"  {place} {before or '(nothing)'}\n    → {change['text'] or '(nothing)'}")
        if "speaker" in change:
            print(f"  {place} is said by {change['speaker']}")
