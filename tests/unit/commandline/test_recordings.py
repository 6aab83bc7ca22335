"""What a folder stands for, and what of it is passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.failures import UsageError
from cli.recordings import find, passed_over


def folder(home: Path, *names: str) -> Path:
    for name in names:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).touch()
    return home


def test_other_files_are_passed_over_and_transcripts_are_not_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside recordings, in a folder for transcripts, and with a suffix of the recording in their names."""
    files = ("a.wav", "a.json", "a.srt", "b/c.mp3", "b/c.mp3.vtt", "b/notes.md", "b/d.json", "out/a.txt", "out/b/c.tsv")
    monkeypatch.chdir(folder(tmp_path, *files, ".hidden.md", ".git/x.md"))
    for place in (".", str(tmp_path), "b/.."):
        recordings, others = find([place], Path("out"))
        assert [recording.name for recording in recordings] == ["a.wav", "c.mp3"]
        assert [path.name for path in others] == ["d.json", "notes.md"]


def test_many_are_counted_by_suffix(tmp_path: Path) -> None:
    """Up to five are named."""
    folder(tmp_path, "a.wav", *(f"{n}.md" for n in range(5)), "README", "x.PDF")
    _, others = find([str(tmp_path)], None)
    assert "7 files that do not look like a recording: 5 .md, 1 .pdf, 1 without a suffix." in passed_over(others)
    assert str(others[0]) in passed_over(others[:2])
    assert passed_over([]) == ""


def test_a_folder_without_recordings_says_what_it_has(tmp_path: Path) -> None:
    """The error names the files."""
    folder(tmp_path, "notes.md")
    with pytest.raises(UsageError, match=r"notes\.md"):
        find([str(tmp_path)], None)
