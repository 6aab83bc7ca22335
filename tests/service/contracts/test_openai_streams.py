"""Streams of OpenAI's audio API on a real gateway."""

from __future__ import annotations

import json
import math
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import claims
from shared.db import session
from shared.errors import NoAudio
from shared.kernel import leases
from shared.kernel.events import publish
from shared.transcript import Segment, Word
from tests.service.contracts.openai_calls import TRANSCRIPTIONS, ask, error, events, streamed
from tests.service.gateway import TRANSCRIPT, Caller, Gateway, eventually, hand_in, work_on


def test_a_stream_ends_with_the_whole_text(caller: Caller, recording: bytes) -> None:
    """The deltas together are the text of the last event."""
    answer = ask(caller, recording, stream="true")
    assert answer.headers["content-type"].startswith("text/event-stream")
    *deltas, end = events(answer)
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert "".join(event["delta"] for event in deltas) == end["text"] == "Hello there. Good day."
    assert end["type"] == "transcript.text.done"


@pytest.mark.parametrize("name", ["verbose_json", "srt", "vtt"])
def test_a_format_that_has_no_stream_comes_whole(caller: Caller, recording: bytes, name: str) -> None:
    """`stream` is ignored where OpenAI ignores it."""
    streamed = ask(caller, recording, stream="true", response_format=name)
    assert (streamed.status_code, streamed.text) == (200, ask(caller, recording, response_format=name).text)


def test_a_diarized_stream_has_segments_with_speakers(caller: Caller, recording: bytes) -> None:
    """Each segment comes as an event with its speaker before the end."""
    stream = events(ask(caller, recording, stream="true", response_format="diarized_json"))
    segments = [event for event in stream if event["type"] == "transcript.text.segment"]
    assert [(event["speaker"], event["start"]) for event in segments] == [("A", 0.0), ("B", 1.2)]


def test_segments_of_a_stream_have_words_where_they_are_asked_for(caller: Caller, recording: bytes) -> None:
    """With the granularity `word` each segment's event has its words."""
    words = {"timestamp_granularities[]": "word"}
    stream = events(ask(caller, recording, stream="true", response_format="diarized_json", **words))
    spoken = [event["words"] for event in stream if event["type"] == "transcript.text.segment"]
    assert [[word["word"] for word in segment] for segment in spoken] == [["Hello", "there."], ["Good day."]]
    assert [{word["speaker"] for word in segment} for segment in spoken] == [{"A"}, {"B"}]


def test_a_stream_tells_what_is_heard_at_once(gateway: Gateway, caller: Caller) -> None:
    """Segments come as deltas before the task is done, and none of them comes again at its end."""
    with caller.http.stream("POST", TRANSCRIPTIONS, files={"file": b"new"}, data={"stream": "true"}) as answer:
        task_id = uuid.UUID(answer.headers["x-task-id"])
        hand_in(work_on(task_id, "convert"), gateway.storage)
        claim = work_on(task_id, "transcribe")
        with session() as work:
            publish(work, claim, TRANSCRIPT.segments[:1])
        stream = (json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data: {"))
        first = next(stream)
        assert caller.status(task_id) == "processing"
        hand_in(claim, gateway.storage)
        for stage in ("merge", "store"):
            hand_in(work_on(task_id, stage), gateway.storage)
        assert [first, next(stream)] == [
            {"type": "transcript.text.delta", "delta": "Hello there."},
            {"type": "transcript.text.delta", "delta": " Good day."},
        ]
        assert next(stream)["text"] == "Hello there. Good day."


def test_a_stream_without_sound_is_an_error_of_its_own(gateway: Gateway, caller: Caller) -> None:
    """Whatever ends a task while its recording is looked into is the status, as without a stream."""
    with ThreadPoolExecutor() as pool:
        call = pool.submit(ask, caller, b"noise", stream="true")
        task_id = eventually(caller.newest, "the task")
        fail(work_on(task_id, "convert"))
        answer = call.result()
    assert error(answer) == (400, "no_audio", "file")
    assert answer.headers["x-should-retry"] == "false"


def test_a_stream_tells_of_a_later_failure_as_an_event(gateway: Gateway, caller: Caller) -> None:
    """A task that fails while the stream is open ends it with OpenAI's error object."""
    with caller.http.stream("POST", TRANSCRIPTIONS, files={"file": b"new"}, data={"stream": "true"}) as answer:
        assert answer.status_code == 200
        task_id = uuid.UUID(answer.headers["x-task-id"])
        hand_in(work_on(task_id, "convert"), gateway.storage)
        fail(work_on(task_id, "transcribe"))
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "no_audio"


def test_a_stream_begins_when_the_recording_was_looked_into(gateway: Gateway, caller: Caller) -> None:
    """Its headers come before anything is recognised, and at once when the probe is over."""
    with ThreadPoolExecutor() as pool:
        started = pool.submit(headers_of, caller, b"sound")
        task_id = eventually(caller.newest, "the task")
        hand_in(work_on(task_id, "convert"), gateway.storage)
        assert started.result() == (200, str(task_id))
    assert caller.status(task_id) == "processing"


def headers_of(caller: Caller, content: bytes) -> tuple[int, str]:
    with caller.http.stream("POST", TRANSCRIPTIONS, files={"file": content}, data={"stream": "true"}) as answer:
        return answer.status_code, answer.headers["x-task-id"]


def fail(claim: claims.Claim) -> None:
    with session() as work:
        leases.fail(work, claim, NoAudio("Nothing can be heard."), max_attempts=1)


def test_each_delta_has_the_log_probabilities_of_its_words(gateway: Gateway, caller: Caller, recording: bytes) -> None:
    """With include[]=logprobs those of the deltas are, one after another, those of the end; else no delta has any."""
    for content in (recording, b"heard while somebody listens"):
        *deltas, end = streamed(gateway, caller, content, **{"include[]": "logprobs"})
        assert [[entry["token"] for entry in delta["logprobs"]] for delta in deltas] == [
            [" Hello", " there."],
            [" Good day."],
        ]
        assert [entry for delta in deltas for entry in delta["logprobs"]] == end["logprobs"]
        assert end["logprobs"][0]["logprob"] == pytest.approx(math.log(0.9), abs=1e-4)
    assert all("logprobs" not in event for event in events(ask(caller, recording, stream="true")))


def test_deltas_name_the_segments_that_they_begin(gateway: Gateway, caller: Caller, recording: bytes) -> None:
    """In a diarized stream the ids of deltas are those of segments, whether they are told at once or at the end."""
    for content in (recording, b"spoken while somebody listens"):
        stream = streamed(gateway, caller, content, response_format="diarized_json")
        deltas = [event for event in stream if event["type"] == "transcript.text.delta"]
        segments = [event for event in stream if event["type"] == "transcript.text.segment"]
        assert {event["segment_id"]: event["delta"].strip() for event in deltas} == {
            event["id"]: event["text"].strip() for event in segments
        }
    assert all("segment_id" not in event for event in events(ask(caller, recording, stream="true")))


def test_a_segment_that_two_speakers_share_keeps_the_link_to_its_beginning(gateway: Gateway, caller: Caller) -> None:
    """A delta that is cut at a change of speaker names its first piece; the second has an id of its own."""
    words = tuple(word for segment in TRANSCRIPT.segments for word in segment.words)
    whole = Segment(0, 0.0, 2.0, TRANSCRIPT.text, 0.9, words=words)
    stream = streamed(gateway, caller, b"both", (whole,), response_format="diarized_json")
    assert [event["segment_id"] for event in stream if "delta" in event] == ["seg_0"]
    assert [event["id"] for event in stream if "speaker" in event] == ["seg_0", "seg_1"]


def test_segments_of_another_text_have_other_ids(gateway: Gateway, caller: Caller) -> None:
    """When the rest was recognised differently, no id of a delta is taken for that of another text's segment."""
    other = Segment(0, 0.0, 1.0, " Hullo.", 0.9, words=(Word(0.0, 1.0, " Hullo.", 0.9),))
    stream = streamed(gateway, caller, b"again", (other,), response_format="diarized_json")
    assert [event["segment_id"] for event in stream if "delta" in event] == ["seg_0"]
    assert [event["id"] for event in stream if "speaker" in event] == ["seg_1", "seg_2"]
