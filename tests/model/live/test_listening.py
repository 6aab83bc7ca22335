"""Live recognition with real weights: what is said of speech while it arrives."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from scripts.bench.scoring import word_error_rate
from scripts.weights.fixtures import fixture
from shared.live_events import Final, LiveEvent, Partial, SpeechStarted, SpeechStopped
from shared.transcript import SAMPLE_RATE
from tasks.asr.decoding import TranscribeOptions
from tasks.engines.faster_whisper import FasterWhisper
from tasks.engines.recogniser import Samples
from tasks.listening.listener import LONGEST_AHEAD_S, Listener
from tasks.listening.options import ListenOptions
from tests.model.test_transcribe import LIBRIVOX, recognise, recording, telephone, text

STEP = SAMPLE_RATE // 10
PAUSE = np.zeros(SAMPLE_RATE * 3 // 4, np.float32)


@pytest.fixture(scope="module")
def reading() -> Samples:
    """27 s of one voice in five sentences."""
    return np.concatenate([part for name in LIBRIVOX for part in (recording(f"librivox-{name}.wav"), PAUSE)])


@pytest.fixture(scope="module")
def words() -> str:
    """What is said in it."""
    return " ".join(fixture(f"librivox-{name}.txt").read_text().strip() for name in LIBRIVOX)


@pytest.fixture(scope="module")
def feeds(tiny: FasterWhisper, reading: Samples) -> list[list[LiveEvent]]:
    """The events of each tenth of a second of it, and those of its end."""
    return hear(Listener(tiny), reading)


def hear(listener: Listener, samples: Samples, step: int = STEP) -> list[list[LiveEvent]]:
    fed = [listener.feed(samples[first : first + step]) for first in range(0, len(samples), step)]
    return [*fed, listener.finish()]


def finals(fed: Sequence[Sequence[LiveEvent]]) -> list[Final]:
    return [event for events in fed for event in events if isinstance(event, Final)]


def partials(fed: Sequence[Sequence[LiveEvent]]) -> list[Partial]:
    return [event for events in fed for event in events if isinstance(event, Partial)]


def text_of(events: Sequence[Final]) -> str:
    return " ".join(event.text for event in events)


def without_replaced(events: Sequence[Final]) -> list[tuple[object, ...]]:
    """All of a final that does not depend on partials."""
    return [(each.utterance, each.start, each.end, each.text, each.words, each.language) for each in events]


# ---- finals


@pytest.mark.parametrize("step", [SAMPLE_RATE // 50, SAMPLE_RATE // 2, 10 * SAMPLE_RATE])
def test_finals_are_the_same_however_the_samples_come(
    step: int, tiny: FasterWhisper, reading: Samples, feeds: list[list[LiveEvent]]
) -> None:
    """In 20 ms, 0.5 s and 10 s at a time. The samples are left as they were."""
    before = reading.copy()
    fed = hear(Listener(tiny, ListenOptions(partial_every_s=5.0)), reading, step)
    assert without_replaced(finals(fed)) == without_replaced(finals(feeds))
    np.testing.assert_array_equal(reading, before)


def test_finals_are_as_right_as_the_pass_over_the_whole(
    tiny: FasterWhisper, reading: Samples, words: str, feeds: list[list[LiveEvent]]
) -> None:
    offline = word_error_rate(words, text(recognise(reading, tiny, TranscribeOptions("tiny.en"))))
    live = word_error_rate(words, text_of(finals(feeds)))
    assert live <= offline + 0.03
    assert live <= 0.12


def test_each_utterance_has_one_final_with_times(feeds: list[list[LiveEvent]], reading: Samples) -> None:
    """Utterances and the words in them follow each other; speech starts, stops, and then the final is there."""
    rows = finals(feeds)
    assert [final.utterance for final in rows] == list(range(len(LIBRIVOX)))
    for before, after in pairwise(rows):
        assert before.end <= after.start
    for final in rows:
        times = [time for word in final.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert final.start <= times[0] <= times[-1] <= final.end <= len(reading) / SAMPLE_RATE
        assert " ".join(word.text for word in final.words) == final.text
        assert all(0 < word.probability <= 1 for word in final.words)
        order = [type(event) for events in feeds for event in events if event.utterance == final.utterance]
        assert order[0] is SpeechStarted
        assert order[1:] == [Partial] * (len(order) - 3) + [SpeechStopped, Final]


def test_a_final_is_there_before_its_end_is_sure(tiny: FasterWhisper, reading: Samples) -> None:
    """No model is asked any more when 0.4 s of silence have come; in longer utterances it is."""
    answers: list[int] = []
    listener = Listener(tiny, ListenOptions(partial_every_s=60.0), on_answer=lambda: answers.append(0))
    lengths = []
    for first in range(0, len(reading), STEP):
        before = len(answers)
        for final in finals([listener.feed(reading[first : first + STEP])]):
            lengths.append(final.end - final.start)
            assert (len(answers) == before) == (lengths[-1] <= LONGEST_AHEAD_S), final
    assert min(lengths) <= LONGEST_AHEAD_S


@pytest.mark.parametrize("place", [0, 2, 3])
def test_another_listener_goes_on_behind_a_final(
    place: int, tiny: FasterWhisper, reading: Samples, feeds: list[list[LiveEvent]]
) -> None:
    """From the end of any final on, it says what the first would have said."""
    last = finals(feeds)[place]
    options = ListenOptions(language=last.language, partial_every_s=60.0)
    second = Listener(tiny, options, start_s=last.end, utterance=last.utterance + 1)
    fed = hear(second, reading[round(last.end * SAMPLE_RATE) :], SAMPLE_RATE // 3)
    assert without_replaced(finals(fed)) == without_replaced(finals(feeds)[place + 1 :])


def test_another_listener_goes_on_in_a_long_silence(tiny: FasterWhisper) -> None:
    """It has to hear no more than the last ten seconds of it."""
    silence = np.random.default_rng(1).normal(scale=1e-4, size=33 * SAMPLE_RATE).astype(np.float32)
    samples = np.concatenate([silence, recording("librivox-0880.wav"), PAUSE])
    first = Listener(tiny, ListenOptions(partial_every_s=60.0))
    assert hear(first, silence) == [[]] * (len(silence) // STEP + 1)
    assert 20 < first.resume_s < 33
    second = Listener(tiny, start_s=first.resume_s, utterance=first.utterance)
    fed = hear(second, samples[round(first.resume_s * SAMPLE_RATE) :])
    rest = hear(first, samples[len(silence) :])
    assert without_replaced(finals(fed)) == without_replaced(finals(rest))
    assert len(finals(fed)) == 1


def test_a_larger_model_may_hear_the_finals(
    base: FasterWhisper, tiny: FasterWhisper, reading: Samples, words: str, feeds: list[list[LiveEvent]]
) -> None:
    """base corrects what tiny.en committed, and says which words."""
    fed = hear(Listener(tiny, ListenOptions(final_model=base)), reading)
    assert word_error_rate(words, text_of(finals(fed))) < word_error_rate(words, text_of(finals(feeds)))
    assert any(final.replaced for final in finals(fed))


def test_speech_without_a_pause_is_cut_and_no_word_lost(tiny: FasterWhisper, words: str) -> None:
    """An utterance is at most 25 s; committed words behind the cut are those of the next from its beginning."""
    sentences = [recording(f"librivox-{name}.wav") for name in LIBRIVOX]
    samples = np.concatenate([trimmed(sentence) for sentence in (*sentences, *sentences)])
    hum = np.random.default_rng(2).normal(scale=0.002, size=len(samples)).astype(np.float32)
    fed = hear(Listener(tiny), samples + hum, SAMPLE_RATE // 2)
    assert max(final.end - final.start for final in finals(fed)) <= 25.0
    assert word_error_rate(f"{words} {words}", text_of(finals(fed))) <= 0.2


def trimmed(sentence: Samples) -> Samples:
    """A sentence without the silence around it."""
    loud = np.flatnonzero(np.abs(sentence) > 0.03)
    return sentence[loud[0] : loud[-1]]


# ---- partials


def test_committed_words_stay_until_the_final(feeds: list[list[LiveEvent]]) -> None:
    """They only grow, and the final says few of them otherwise; a feed gives one partial at most."""
    rows = partials(feeds)
    assert len(rows) > 30
    for before, after in pairwise(rows):
        assert after.utterance > before.utterance or after.committed.startswith(before.committed)
    last = {partial.utterance: partial.committed.split() for partial in rows}
    assert sum(map(len, last.values())) > 50
    assert sum(len(final.replaced) for final in finals(feeds)) <= 0.15 * sum(map(len, last.values()))
    assert all(len(partials([events])) <= 1 for events in feeds)


def test_a_late_caller_gets_the_present(tiny: FasterWhisper, reading: Samples) -> None:
    """Twenty seconds at once: finals of all that is over, and one partial of what goes on."""
    fed = Listener(tiny).feed(reading[: 20 * SAMPLE_RATE])
    assert len(finals([fed])) == 3
    (present,) = partials([fed])
    assert fed[-1] == present
    assert present.utterance == 3
    assert len((present.committed + present.tail).split()) >= 5


# ---- language, hotwords, telephone, what is no speech, memory


def test_the_language_is_found_and_kept(base: FasterWhisper, reading: Samples) -> None:
    """A short utterance behind a long one in French is taken for French, a long one for what it is; and the first
    partials commit nothing."""
    french = recording("french.wav")
    listener = Listener(base)
    fed = hear(listener, np.concatenate([french, french, PAUSE]))
    assert {final.language for final in finals(fed)} == {listener.language} == {"fr"}
    assert all(partial.language == "fr" for partial in partials(fed) if partial.committed)
    english = np.concatenate([recording("librivox-0880.wav"), PAUSE])
    assert {final.language for final in finals(hear(listener, english))} == {"fr"}
    assert finals(hear(listener, reading))[-1].language == listener.language == "en"


def test_a_language_that_was_asked_for_is_never_another(base: FasterWhisper) -> None:
    samples = np.concatenate([recording("french.wav"), PAUSE])
    fed = hear(Listener(base, ListenOptions(language="en", partial_every_s=60.0)), samples)
    assert {final.language for final in finals(fed)} == {"en"}


def test_a_language_that_the_model_does_not_know_is_heard_as_another(base: FasterWhisper) -> None:
    """As the likeliest that it knows; the session goes on, and its language is still the one that was asked for."""
    listener = Listener(base, ListenOptions(language="yue", partial_every_s=1.0))
    fed = hear(listener, np.concatenate([recording("librivox-0880.wav"), PAUSE]))
    assert text_of(finals(fed)) and {final.language for final in finals(fed)} == {"en"}
    assert (partials(fed), listener.language) == ([], "yue")


def test_hotwords_set_the_style(tiny: FasterWhisper) -> None:
    """After words without capitals the sentence begins with a small letter, in partials and finals."""
    samples = np.concatenate([recording("librivox-0870.wav")[: 5 * SAMPLE_RATE], PAUSE])
    style = "and then mister dashwood had some leasure and so he did consider it and then he went home and slept"
    plain, styled = (hear(Listener(tiny, ListenOptions(hotwords=words)), samples) for words in (None, style))
    assert (text_of(finals(plain))[:6], text_of(finals(styled))[:10]) == ("And Mr", "and mister")
    assert partials(styled)[-1].committed.startswith("and mister")


def test_hotwords_of_any_length_are_accepted(tiny: FasterWhisper) -> None:
    samples = np.concatenate([recording("librivox-0880.wav"), PAUSE])
    hotwords = " ".join(f"word{place}" for place in range(2000)) + ". He was not an ill-disposed young man."
    fed = hear(Listener(tiny, ListenOptions(hotwords=hotwords)), samples)
    assert "young man" in text_of(finals(fed))


def test_a_telephone_line_loses_no_speech(tiny: FasterWhisper, reading: Samples, words: str) -> None:
    """Where the detector is below a half nearly everywhere."""
    fed = hear(Listener(tiny, ListenOptions(partial_every_s=60.0)), telephone(reading))
    assert word_error_rate(words, text_of(finals(fed))) < 0.25


def test_noise_says_nothing(base: FasterWhisper) -> None:
    """Noise, a click now and then, a hum: no words, whatever the detector thinks."""
    rng = np.random.default_rng(0)
    time = np.arange(20 * SAMPLE_RATE) / SAMPLE_RATE
    clicks = np.zeros(len(time), np.float32)
    clicks[:: SAMPLE_RATE * 7 // 4] = 0.9
    for samples in (rng.normal(scale=0.05, size=len(time)), clicks, 0.2 * np.sin(2 * np.pi * 120 * time)):
        fed = hear(Listener(base), samples.astype(np.float32), SAMPLE_RATE)
        assert text_of(finals(fed)).strip() == ""


def test_memory_stays_as_it_is(tiny: FasterWhisper) -> None:
    """What a session holds after five minutes is what it held after one."""
    minute = np.random.default_rng(3).normal(scale=1e-3, size=60 * SAMPLE_RATE).astype(np.float32)
    listener = Listener(tiny)
    hear(listener, minute)
    tracemalloc.start()
    for _ in range(4):
        hear(listener, minute, SAMPLE_RATE)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 3_000_000
