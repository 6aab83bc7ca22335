"""From decoded words to segments and warnings, on words made up here."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import ctranslate2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config import Settings
from shared.errors import ModelNotAllowed, ModelUnavailable
from shared.transcript import Caveat, Segment, Word
from tasks.asr.checks import compressible, echoes, joined, loops, on_silence, repeats, unlikely
from tasks.asr.segments import MAX_SEGMENT_S, Segmenter, Utterance, to_segments
from tasks.asr.vad import Span
from tasks.engines import loading

DURATION = 100.0


def utterance(words: list[Word], text: str = "", logprob: float = -0.2, silent: float = 0.0) -> Utterance:
    content = text or "".join(word.text for word in words)
    start, end = (words[0].start, words[-1].end) if words else (1.0, 2.0)
    return Utterance(start, end, content, tuple(words), logprob, silent, 1.0)


def spoken(text: str, start: float = 0.0, pace: float = 0.4) -> list[Word]:
    """The words of `text`, one every `pace` seconds."""
    times = [start + pace * i for i in range(len(text.split()))]
    return [Word(time, time + 0.75 * pace, f" {word}", 0.9) for word, time in zip(text.split(), times, strict=True)]


wild_times = st.floats(-50, 150)
wild_words = st.builds(
    Word,
    start=wild_times,
    end=wild_times,
    text=st.sampled_from([" a", " b.", " Mr.", " End!", "-c", " 好。"]),
    confidence=st.floats(0, 1),
)
wild_utterances = st.lists(
    st.builds(
        Utterance,
        start=wild_times,
        end=wild_times,
        text=st.just(" something"),
        words=st.lists(wild_words, max_size=12).map(tuple),
        avg_logprob=st.floats(-5, 0),
        no_speech_prob=st.floats(0, 1),
        compression_ratio=st.floats(0, 5),
    ),
    max_size=8,
)


# ---- segments


@given(wild_utterances, st.floats(0, 60), st.floats(0, 60))
def test_times_are_in_order_whatever_the_decoder_says(
    utterances: list[Utterance], start: float, duration: float
) -> None:
    """Words lie inside their segment, segments inside the recording, and no time ever goes back."""
    end = start + duration
    segments = to_segments(utterances, start, end)
    times = []
    for segment in segments:
        inner = [time for word in segment.words for time in (word.start, word.end)]
        times += [segment.start, *inner, segment.end]
    assert times == sorted(times)
    assert all(start <= time <= end for time in times)
    assert [segment.id for segment in segments] == list(range(len(segments)))
    assert all(0 <= segment.confidence <= 1 for segment in segments)


@given(wild_utterances)
def test_no_word_is_lost_or_doubled(utterances: list[Utterance]) -> None:
    """The segments hold the words of the decoder, in its order, and the text of what came without words."""
    segments = to_segments(utterances, 0, DURATION)
    given_words = [word.text for each in utterances for word in each.words]
    assert [word.text for segment in segments for word in segment.words] == given_words
    wordless = [each for each in utterances if not each.words]
    assert sum(not segment.words for segment in segments) == len(wordless)


@given(st.lists(wild_words, min_size=1, max_size=30), st.data())
def test_segments_are_the_same_in_whatever_portions_they_come(words: list[Word], data: st.DataObject) -> None:
    """What is given out early is never taken back: portion by portion the segments are those of the whole."""
    cuts = sorted(data.draw(st.sets(st.integers(1, len(words) - 1))) if len(words) > 1 else ())
    segmenter = Segmenter(0, DURATION)
    given_out: list[Segment] = []
    for first, last in pairwise([0, *cuts, len(words)]):
        given_out += segmenter.add(utterance(words[first:last]))
    given_out += segmenter.close()
    assert tuple(given_out) == tuple(segmenter.segments) == to_segments([utterance(words)], 0, DURATION)


def test_a_sentence_is_given_out_when_the_next_one_begins() -> None:
    """Nobody has to wait for the end of the recording to read its beginning."""
    segmenter = Segmenter(0, DURATION)
    assert segmenter.add(utterance(spoken("I am here."))) == ()
    assert [segment.text for segment in segmenter.add(utterance(spoken("And you", start=2)))] == ["I am here."]
    assert [segment.text for segment in segmenter.close()] == ["And you"]


def test_a_segment_is_a_sentence() -> None:
    """Sentences are parted at their full stops, and joined where the decoder cut one in two."""
    halves = [utterance(spoken("I am here. And you")), utterance(spoken("are there! Good.", start=2.4))]
    texts = [segment.text for segment in to_segments(halves, 0, DURATION)]
    assert texts == ["I am here.", "And you are there!", "Good."]


def test_a_pause_ends_a_segment() -> None:
    """Without any punctuation, 1.5 s of silence part two segments."""
    words = [*spoken("so anyway"), *spoken("what now", start=2.2)]
    assert [segment.text for segment in to_segments([utterance(words)], 0, DURATION)] == ["so anyway", "what now"]


@pytest.mark.parametrize("text", ["Ask Mr. Smith about it.", "The U.S. Army came.", "At 9 a.m. we left."])
def test_an_abbreviation_ends_no_sentence(text: str) -> None:
    """Titles, initials and a full stop before a small letter stay inside their sentence."""
    assert [segment.text for segment in to_segments([utterance(spoken(text))], 0, DURATION)] == [text]


def test_chinese_sentences_are_parted() -> None:
    """A full stop of another script ends a segment too, although no space follows it."""
    words = [Word(0, 1, "你好。", 0.9), Word(1, 2, "再见。", 0.9)]
    assert [segment.text for segment in to_segments([utterance(words)], 0, DURATION)] == ["你好。", "再见。"]


def test_speech_without_full_stops_is_parted_at_its_longest_pause() -> None:
    """No segment is longer than 30 s; the cut is where the speaker paused most."""
    words = [*spoken("la " * 50), *spoken("lo " * 50, start=20.6)]
    segments = to_segments([utterance(words)], 0, DURATION)
    assert [len(segment.words) for segment in segments] == [50, 50]
    assert all(segment.end - segment.start <= MAX_SEGMENT_S for segment in segments)


def test_confidence_is_the_mean_of_the_words() -> None:
    """A segment of one sure and one doubtful word is half sure."""
    words = [Word(0, 1, " yes", 1.0), Word(1, 2, " perhaps", 0.5)]
    assert to_segments([utterance(words)], 0, DURATION)[0].confidence == pytest.approx(0.75)


def test_confidence_without_words_is_that_of_the_tokens() -> None:
    """Where the decoder gave no words, a mean log probability of -0.5 is a confidence of 0.61."""
    (segment,) = to_segments([utterance([], " hm", logprob=-0.5)], 0, DURATION)
    assert (segment.text, segment.words) == ("hm", ())
    assert segment.confidence == pytest.approx(0.6065, abs=1e-4)


# ---- loops


@given(st.lists(st.sampled_from("abc"), min_size=4, max_size=12), st.integers(3, 6), st.integers(0, 30))
def test_a_repeated_phrase_is_found_wherever_it_is(phrase: list[str], times: int, before: int) -> None:
    """A phrase of four words or more, three times in a row, is a loop, whatever words come before and after."""
    words = [f"w{i}" for i in range(before)] + phrase * times + [f"v{i}" for i in range(20)]
    assert (before, before + len(phrase) * times - 1) in repeats(words)


@given(st.lists(st.integers(0, 10_000), unique=True, max_size=300))
def test_ordinary_speech_is_no_loop(words: list[int]) -> None:
    """Words that do not come again are never taken for a loop."""
    assert repeats([str(word) for word in words]) == []


@pytest.mark.parametrize(
    "text",
    [
        "No, no, no, no, no!",
        "ask not what your country can do for you ask what you can do for your country",
        "one two three four one two three four",
        "",
    ],
)
def test_emphasis_is_no_loop(text: str) -> None:
    """What people really say twice, or a short word a few times over, is not flagged."""
    assert repeats(text.split()) == []


def test_a_loop_across_segments_is_one_warning_with_its_times() -> None:
    """The same sentence in five segments, cased and punctuated differently, is one loop from first to last word."""
    loop = utterance(spoken("Well then. " + "Thank you all. " * 4 + "THANK YOU, all! Goodbye now."))
    segments = to_segments([loop], 0, DURATION)
    (warning,) = joined(loops(segments))
    first, last = segments[1], segments[5]
    assert warning.code == "repetition_loop"
    assert (warning.start, warning.end) == (first.start, last.end)


def test_text_that_compresses_too_well_is_flagged() -> None:
    """A compression ratio above Whisper's own threshold is a loop even where words differ."""
    loop = Utterance(1, 2, " x", (), -0.1, 0, 2.5)
    assert [warning.code for warning in compressible([loop])] == ["repetition_loop"]
    assert list(compressible([utterance(spoken("all is well"))])) == []


# ---- text on silence


def test_text_where_nobody_speaks_is_flagged() -> None:
    """A segment outside all voice activity is flagged with its times; the one inside is not."""
    segments = [Segment(0, 1, 3, "Hello there.", 0.9), Segment(1, 10, 12, "Thank you.", 0.9)]
    warnings = list(on_silence(segments, [Span(0.5, 3.5)]))
    assert [(w.code, w.start, w.end) for w in warnings] == [("text_on_silence", 10, 12)]


@given(st.lists(st.floats(0, 90), min_size=1, max_size=20))
def test_spoken_words_are_never_called_silence(starts: list[float]) -> None:
    """Segments that lie on voice activity are not flagged, however many there are."""
    spans = [Span(start, start + 1) for start in sorted(starts)]
    apart = [span for i, span in enumerate(spans) if i == 0 or span.start >= spans[i - 1].end]
    segments = [Segment(i, span.start, span.end, "word", 0.9) for i, span in enumerate(apart)]
    assert list(on_silence(segments, apart)) == []


def test_what_whisper_takes_for_silence_is_flagged() -> None:
    """Both of Whisper's own signs together count; either alone does not."""
    doubtful = utterance([], " hm", logprob=-1.5, silent=0.9)
    fine = [utterance([], " hm", logprob=-0.5, silent=0.9), utterance([], " hm", logprob=-1.5, silent=0.1)]
    assert [warning.code for warning in unlikely([doubtful])] == ["text_on_silence"]
    assert list(unlikely(fine)) == []


PROMPT = "Thanks for watching! Subtitles by the community."


@pytest.mark.parametrize(
    ("text", "voice_s", "is_echo"),
    [
        ("Thanks for watching!", 0.3, True),
        ("thanks, for watching... Subtitles by the community", 0.6, True),
        ("Thanks for watching!", 0.9, False),  # there is time to say it
        ("Thanks for watching the news.", 0.3, False),  # not in the prompt
        ("For watch", 0.1, False),
        ("Thanks for", 0.1, False),  # a hotword is there to be said
        ("...", 0.1, False),
    ],
)
def test_a_prompt_that_nobody_had_the_time_to_say_is_flagged(text: str, voice_s: float, is_echo: bool) -> None:
    echo = utterance(spoken(text, start=1.0, pace=0.1), f" {text}")
    caveats = list(echoes([echo], [Span(1.0, 1.0 + voice_s)], PROMPT))
    assert [caveat.code for caveat in caveats] == ["prompt_echo"] * is_echo
    assert list(echoes([echo], [Span(1.0, 1.0 + voice_s)], "")) == []


def test_warnings_that_touch_become_one() -> None:
    """Neighbouring warnings of one code are joined; another code and a later time stay apart."""
    caveats = [Caveat("a", "x", 5, 6), Caveat("a", "x", 1, 3), Caveat("b", "y", 2, 4), Caveat("a", "x", 3, 4)]
    assert joined(caveats) == (Caveat("a", "x", 1, 4), Caveat("b", "y", 2, 4), Caveat("a", "x", 5, 6))


# ---- which engine


def config(tmp_path: Path, **values: object) -> Settings:
    urls = {"database_url": "postgresql+psycopg://x@localhost/x", "redis_url": "redis://localhost:1/0"}
    return Settings.model_validate({**urls, "model_dir": tmp_path, "device": "cpu", **values})


def test_the_default_model_follows_the_device(tmp_path: Path) -> None:
    """On a CPU the default is base; a named default and a named request come first, in that order."""
    assert loading.model_name(config(tmp_path)) == "base"
    assert loading.model_name(config(tmp_path, whisper_model="small")) == "small"
    assert loading.model_name(config(tmp_path, whisper_model="small"), "tiny") == "tiny"


@pytest.mark.parametrize("name", ["medium", "../../etc", "", "/tmp"])
def test_a_model_that_is_not_offered_is_refused(tmp_path: Path, name: str) -> None:
    """Only names on the server's list are looked for; a path is no name."""
    with pytest.raises(ModelNotAllowed):
        loading.whisper(config(tmp_path, whisper_models="base,tiny"), name)


@pytest.mark.parametrize("there", [[], ["model.bin", "config.json", "vocabulary.txt"]])
def test_incomplete_weights_are_named_with_the_remedy(tmp_path: Path, there: list[str]) -> None:
    """A folder without tokenizer.json is refused instead of asking the Hub, and the message says what to run."""
    folder = tmp_path / "whisper" / "large-v3-turbo"
    folder.mkdir(parents=True)
    for name in there:
        (folder / name).touch()
    with pytest.raises(ModelUnavailable, match=r"tokenizer\.json.*download_models --model large-v3-turbo"):
        loading.whisper(config(tmp_path), "turbo")


def test_broken_weights_are_an_error_without_a_path(tmp_path: Path) -> None:
    """Files that are all there but are not a model give one clean message that names no folder."""
    folder = tmp_path / "whisper" / "base"
    folder.mkdir(parents=True)
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (folder / name).write_text("x")
    with pytest.raises(ModelUnavailable) as caught:
        loading.whisper(config(tmp_path), "base")
    assert str(tmp_path) not in caught.value.message


def test_int8_on_a_cpu_unless_told_otherwise(tmp_path: Path) -> None:
    """auto is int8; another supported type is taken as it is; an unsupported one is refused with the list."""
    supported = ctranslate2.get_supported_compute_types("cpu")
    assert loading.compute_type(config(tmp_path)) == "int8"
    assert loading.compute_type(config(tmp_path, compute_type="float32")) == "float32"
    assert "float16" not in supported
    with pytest.raises(ModelUnavailable, match="float32"):
        loading.compute_type(config(tmp_path, compute_type="float16"))


def test_threads_are_as_set_or_all(tmp_path: Path) -> None:
    """CPU_THREADS counts when it is set; 0 means every core of this process, not a library's default."""
    assert loading.cpu_threads(config(tmp_path, cpu_threads=3)) == 3
    assert loading.cpu_threads(config(tmp_path)) >= 1
