"""Tables of segments for spreadsheets and scripts: .tsv as openai-whisper writes it, and .csv.

A cell that begins like a formula has an apostrophe in front (api/transcripts/cells.py).
"""

from __future__ import annotations

import csv
import io

from api.transcripts.cells import guarded
from api.transcripts.line_breaks import clean
from api.transcripts.options import FormatOptions
from shared.transcript import Transcript


def tsv(transcript: Transcript, _: FormatOptions) -> str:
    """The columns of openai-whisper, times in whole milliseconds, and `speaker` after them if there are speakers.

    It is CSV with tabs: a cell with a quote in it is quoted, as a spreadsheet would else take what begins with one for
    quoted, over the ends of rows.
    """
    diarized = any(segment.speaker is not None for segment in transcript.segments)
    rows = [["start", "end", "text", "speaker"]]
    for segment in transcript.segments:
        start_ms, end_ms = round(segment.start * 1000), round(segment.end * 1000)
        text, speaker = guarded(clean(segment.text)), guarded(clean(segment.speaker or ""))
        rows.append([str(start_ms), str(end_ms), text, speaker])
    out = io.StringIO(newline="")
    csv.writer(out, delimiter="\t", lineterminator="\n").writerows(row if diarized else row[:3] for row in rows)
    return out.getvalue()


def table(transcript: Transcript, _: FormatOptions) -> str:
    """CSV (RFC 4180). Its columns are always the same: times in seconds, an empty `speaker` where nobody is known."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["start", "end", "speaker", "text", "confidence"])
    for segment in transcript.segments:
        texts = [guarded(clean(segment.speaker or "")), guarded(clean(segment.text))]
        writer.writerow([f"{segment.start:.3f}", f"{segment.end:.3f}", *texts, f"{segment.confidence:.3f}"])
    return out.getvalue()
