"""When in a recording the words are said that a search has found.

Times are in the transcripts' objects only, so those of a page are read; no index is larger for them. Of an object only
the segments' texts are looked at, and then the one segment that is wanted: all of eight hours, which are 7 MB, would
take a second to parse.
"""

from __future__ import annotations

import json
import re
import uuid
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from threading import Event

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.history.headlines import Place
from api.transcripts import corrections
from api.transcripts.corrections import Edits
from shared.errors import NotFound, StorageUnavailable
from shared.models import Artifact, Job, Stage
from shared.stages import FINAL
from shared.storage import Storage
from shared.transcript import Segment, Transcript, from_json

READ_BYTES = 32 * 1024**2
"""Of transcripts that one page reads: about 30 hours of speech. Of the tasks after that no times are told."""

AT_ONCE = 8
"""Objects that one page asks for at the same time."""

_SEGMENT = re.compile(r'\{"id":(\d+),"start":[^,]+,"end":[^,]+,"text":("(?:[^"\\]|\\.)*+")')
"""How a segment begins in what `to_json` writes. In a text the quotes would be escaped."""


def moments(
    session: Session, storage: Storage, jobs: Sequence[Job], places: Mapping[uuid.UUID, Sequence[Place]]
) -> Mapping[uuid.UUID, Sequence[float | None]]:
    """For each place the second at which its first match is said; None where that cannot be told.

    `jobs` are in the order of the page. While the object store cannot be used nothing is told, and nothing raised.
    """
    candidates = [job for job in jobs if places.get(job.id)]
    query = select(Stage.job_id, Artifact.key, Artifact.bytes).join(Artifact, Artifact.id == Stage.artifact_id)
    rows = session.execute(query.where(Stage.job_id.in_([job.id for job in candidates]), Stage.name == FINAL))
    objects = {job_id: (key, size) for job_id, key, size in rows}
    sizes = accumulate(objects.get(job.id, ("", 0))[1] for job in candidates)
    fitting = [job for job, size in zip(candidates, sizes, strict=True) if size <= READ_BYTES and job.id in objects]
    bodies = _read(storage, [objects[job.id][0] for job in fitting])
    return {
        job.id: starts(body, corrections.edits_of(session, job), places[job.id])
        for job, body in zip(fitting, bodies, strict=True)
        if body is not None
    }


def _read(storage: Storage, keys: Sequence[str]) -> Sequence[bytes | None]:
    """These objects, None for those that are not to be had; when the store fails once no other is tried."""
    failed = Event()

    def get(key: str) -> bytes | None:
        try:
            return None if failed.is_set() else storage.get(key)
        except NotFound:  # erased a moment ago
            return None
        except StorageUnavailable:
            failed.set()
            return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(get, keys))


def starts(transcript: bytes, edits: Edits, places: Sequence[Place]) -> Sequence[float | None]:
    """For each place the second at which the word begins there, in a transcript as stored and its corrections."""
    stored = transcript.decode()
    end = max((place.at + len(place.match) for place in places), default=0)
    texts, begins, positions = [], [0], []
    for segment in _SEGMENT.finditer(stored):
        if text := _text(segment, edits):
            texts.append(text)
            positions.append(segment.start())
            begins.append(begins[-1] + len(text) + 1)
            if begins[-1] > end:
                break
    whole = " ".join(texts)
    result: list[float | None] = []
    for place in places:
        number = bisect_right(begins, place.at) - 1
        if number >= len(texts) or not whole.startswith(place.match, place.at):  # not the text that was searched
            result.append(None)
        else:
            _, behind = json.JSONDecoder().raw_decode(stored, positions[number])
            one = from_json(Segment, stored[positions[number] : behind].encode())
            result.append(_start(_edited(one, edits), place.at - begins[number]))
    return result


def _text(segment: re.Match[str], edits: Edits) -> str:
    edit = edits.segments.get(int(segment[1]))
    text: str = json.loads(segment[2]) if edit is None or edit.text is None else edit.text
    return text.strip()


def _edited(segment: Segment, edits: Edits) -> Segment:
    alone = Transcript("", 0.0, 0.0, "", (segment,))
    return corrections.corrected(alone, edits).segments[0]


def _start(segment: Segment, place: int) -> float:
    """Second of the word that holds the character at `place` of the text."""
    text, at, start = segment.text.strip(), 0, segment.start
    for word in segment.words:
        begin = text.find(word.text.strip(), at)
        if begin > place:
            break
        if begin >= 0:
            at, start = begin + len(word.text.strip()), word.start
    return start
