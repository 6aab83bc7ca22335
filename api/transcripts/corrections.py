"""What a person has corrected in a finished transcript: names of speakers, texts of segments and who said them.

Every version is a row of its own that holds all differences from the original, so that any of them can be shown from
the original's object, which is never touched, and that one row. A correction belongs to a task: another one over the
same recording shows what the models said.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from api.transcripts.correction_request import CorrectionRequest, EditedSegment
from api.transcripts.line_breaks import clean
from api.transcripts.retiming import retimed
from api.transcripts.voices import Move, moved, seconds_by_speaker
from shared.errors import InvalidRequest, NotFound, NotReady, VersionConflict, WrongState
from shared.kernel import jobs
from shared.kernel.job_views import JobRow
from shared.models import Correction, Job
from shared.search import entries
from shared.states import JobState
from shared.transcript import Segment, Transcript

KEPT_VERSIONS = 200
"""Versions kept besides the original. A version can be as long as the transcript, so there must be an end; 200 last a
proof-reader who saves every minute for three hours. Older ones are forgotten, the newest never."""

MAX_CORRECTED_CHARS = 1_000_000
"""Of all corrected texts together: 8 hours of fast speech (20 characters a second) are 580,000."""

NEW_SPEAKER = re.compile("spk_[1-9][0-9]?")
"""What a voice may be called that the diarization missed; it numbers those that it found in the same way."""


@dataclass(frozen=True, slots=True)
class SegmentEdit:
    """What is different about a segment; None leaves it as it was."""

    text: str | None = None
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Edits:
    """All differences of one version from the original: speaker id -> name, segment id -> edit."""

    names: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[int, SegmentEdit] = field(default_factory=dict)


ORIGINAL = Edits()


@dataclass(frozen=True, slots=True)
class Version:
    """One line of the list of versions. `names` are those in force, `segments` is how many differ from the original."""

    version: int
    names: Mapping[str, str]
    segments: int
    created_at: datetime | None


# ---- the transcript


def corrected(transcript: Transcript, edits: Edits) -> Transcript:
    """The transcript as edited. Speakers have their names everywhere; `speakers` still tells the ids as well.

    Where a segment is given to another speaker, their turns and seconds follow. A segment keeps its id, times and
    confidence, also when nothing is left of its text.
    """
    if edits == ORIGINAL:
        return transcript
    names = edits.names
    segments, moves = [], []
    for segment in transcript.segments:
        edit = edits.segments.get(segment.id, SegmentEdit())
        speaker = edit.speaker or segment.speaker
        if speaker and speaker != segment.speaker:
            moves.append(Move(segment.start, segment.end, segment.speaker, speaker))
        segments.append(_edited(segment, edit.text, speaker))
    turns, speakers = transcript.turns, transcript.speakers
    if moves:
        turns = moved(turns, moves)
        speakers = seconds_by_speaker(turns, (segment.speaker for segment in segments))
    return replace(
        transcript,
        segments=tuple(_attributed(segment, names.get(segment.speaker or "", segment.speaker)) for segment in segments),
        speakers=tuple(replace(speaker, name=names.get(speaker.id)) for speaker in speakers),
        turns=tuple(replace(turn, speaker=names.get(turn.speaker, turn.speaker)) for turn in turns),
    )


def _edited(segment: Segment, text: str | None, speaker: str | None) -> Segment:
    if text is not None:
        segment = replace(segment, text=text, words=retimed(segment, text))
    return replace(segment, speaker=speaker)


def _attributed(segment: Segment, speaker: str | None) -> Segment:
    words = tuple(word if word.speaker == speaker else replace(word, speaker=speaker) for word in segment.words)
    return replace(segment, speaker=speaker, words=words)


def _text(transcript: Transcript, edits: Edits) -> str:
    """The text of the corrected transcript, without the cost of timing its words."""
    texts = {number: edit.text for number, edit in edits.segments.items() if edit.text is not None}
    segments = (replace(segment, text=texts.get(segment.id, segment.text)) for segment in transcript.segments)
    return replace(transcript, segments=tuple(segments)).text


# ---- what is asked for


def changed(transcript: Transcript, edits: Edits, correction: CorrectionRequest) -> Edits:
    """`edits` with what is asked for on top. What is the same as in the original is no difference any more.

    Raises InvalidRequest for a segment or a speaker that is not there, and for a name that is another speaker's id.
    """
    originals = {segment.id: segment for segment in transcript.segments}
    segments = dict(edits.segments)
    for change in correction.segments or ():
        if change.id not in originals:
            raise InvalidRequest(f"There is no segment {change.id}.", parameter="segments")
        segments[change.id] = _merged(segments.get(change.id, SegmentEdit()), change, originals[change.id])
    segments = {number: edit for number, edit in sorted(segments.items()) if edit != SegmentEdit()}
    if sum(len(edit.text or "") for edit in segments.values()) > MAX_CORRECTED_CHARS:
        raise InvalidRequest(
            f"The corrected texts have more than {MAX_CORRECTED_CHARS} characters.", parameter="segments"
        )

    voices = _voices(transcript)
    for edit in segments.values():
        if edit.speaker and edit.speaker not in voices and not NEW_SPEAKER.fullmatch(edit.speaker):
            message = f"{edit.speaker!r} is no speaker of this transcript; a new one is called spk_1 to spk_99."
            raise InvalidRequest(message, parameter="segments")
    ids = voices | {edit.speaker for edit in segments.values() if edit.speaker}
    wanted_names = correction.speakers or {}
    for speaker, name in wanted_names.items():
        if speaker not in ids:
            raise InvalidRequest(f"There is no speaker {speaker!r}.", parameter="speakers")
        if name and name != speaker and (name in ids or NEW_SPEAKER.fullmatch(name)):
            message = f"{name!r} is a speaker's id. Two voices become one person when both are given the same name."
            raise InvalidRequest(message, parameter="speakers")
    names = {**edits.names, **wanted_names}
    return Edits({s: name for s, name in sorted(names.items()) if name and name != s and s in ids}, segments)


def _merged(before: SegmentEdit, change: EditedSegment, original: Segment) -> SegmentEdit:
    text = change.text if "text" in change.model_fields_set else before.text
    speaker = change.speaker if "speaker" in change.model_fields_set else before.speaker
    return SegmentEdit(
        None if text is None or text == clean(original.text) else text,
        None if speaker == original.speaker else speaker,
    )


def _voices(transcript: Transcript) -> set[str]:
    """Ids of all speakers, also of those who say nothing."""
    ids = {speaker.id for speaker in transcript.speakers} | {turn.speaker for turn in transcript.turns}
    return ids | {segment.speaker for segment in transcript.segments if segment.speaker}


# ---- rows


def correct(
    session: Session,
    owner_id: uuid.UUID,
    job_id: uuid.UUID,
    transcript: Transcript | None,
    correction: CorrectionRequest,
) -> None:
    """Carry out what is asked for, the job's row locked, so that of two corrections at once the later sees the earlier.

    `transcript` is the original one; it is needed for all but labels. Where nothing changes no version is made.
    Raises NotFound, NotReady, WrongState, VersionConflict and InvalidRequest.
    """
    job = jobs.lock(session, job_id)
    if job is None or job.owner_id != owner_id:
        raise NotFound("There is no such task.")
    if correction.version is not None and correction.version != job.version:
        message = f"The transcript is at version {job.version} by now."
        raise VersionConflict(message, version=job.version)
    if "tags" in correction.model_fields_set:
        job.tags = list(correction.tags or ())
    if "reference" in correction.model_fields_set:
        job.reference = correction.reference
    if correction.is_about_the_transcript:
        check_is_done(job)
        assert transcript is not None
        _correct_transcript(session, job, transcript, correction)
    session.flush()
    entries.write(session, [job])


def _correct_transcript(session: Session, job: Job, transcript: Transcript, correction: CorrectionRequest) -> None:
    before = edits_of(session, job, job.version)
    after = (
        edits_of(session, job, correction.restore)
        if correction.restore is not None
        else changed(transcript, before, correction)
    )
    if after == before:
        return
    job.version += 1
    job.full_text = _text(transcript, after)
    session.add(_row(job, after))
    session.flush()
    session.execute(
        delete(Correction).where(Correction.job_id == job.id, Correction.version <= job.version - KEPT_VERSIONS)
    )


def check_is_done(job: Job | JobRow) -> None:
    """Raises NotReady when there is no transcript yet to be corrected, WrongState when there will be none."""
    if job.state in (JobState.LIVE, JobState.QUEUED, JobState.PROCESSING):
        raise NotReady("The transcript is not ready yet.", status=job.state)
    if job.state != JobState.DONE:
        raise WrongState(f"The task is {job.state}: it has no transcript to correct.", status=job.state)


def edits_of(session: Session, job: Job | JobRow, version: int | None = None) -> Edits:
    """What is different in a version, by default the newest. Raises NotFound for one that is not kept."""
    target = job.version if version is None else version
    if target == 0:
        return ORIGINAL
    row = session.get(Correction, (job.id, target)) if 0 < target <= job.version else None
    if row is None:
        raise NotFound(f"There is no version {target} of this transcript.", version=job.version)
    return Edits(row.speakers, {int(number): SegmentEdit(**edit) for number, edit in row.segments.items()})


def versions(session: Session, job: JobRow) -> Iterable[Version]:
    """All that are kept, newest first; the last one is the original, 0."""
    keys = select(func.count()).select_from(func.jsonb_object_keys(Correction.segments).alias()).scalar_subquery()
    rows = session.execute(
        select(Correction.version, Correction.speakers, keys, Correction.created_at)
        .where(Correction.job_id == job.id)
        .order_by(Correction.version.desc())
    )
    yield from (Version(*row) for row in rows)
    yield Version(0, {}, 0, job.finished_at)


def _row(job: Job, edits: Edits) -> Correction:
    segments: dict[str, Any] = {}
    for number, edit in edits.segments.items():
        differing = {"text": edit.text, "speaker": edit.speaker}
        segments[str(number)] = {name: value for name, value in differing.items() if value is not None}
    return Correction(job_id=job.id, version=job.version, speakers=dict(edits.names), segments=segments)
