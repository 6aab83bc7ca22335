"""Parley on an ARM64 processor with its own kernel, in full emulation: what its own programs and tests do there."""

from __future__ import annotations

import pytest

from tests.arm64.machine import LIMIT_S, Report

DISK_S = 2700
pytestmark = pytest.mark.timeout(DISK_S + LIMIT_S)  # the first time the disk is made

PAGE_BYTES = 16 * 1024
PROBE_S = 5
"""The shortest time that a health check with Python in it has."""


def test_the_machine_is_an_arm64_one(report: Report) -> None:
    """Its kernel has Landlock and pages of 16 KiB, as that of a Raspberry Pi 5."""
    facts = report.facts("machine")
    assert (facts["machine"], facts["page_bytes"]) == ("aarch64", PAGE_BYTES)
    assert facts["landlock"] > 0


@pytest.mark.parametrize("step", ["jail_of_root", "jail_of_a_user"])
def test_there_is_no_way_out_of_the_jails(report: Report, step: str) -> None:
    """To root's code and to an ordinary user's each way is refused there: in the decoder's child, also with the pipe of
    a live session, and in yt-dlp's."""
    assert report.facts(step)["said"].startswith("3 passed")


def test_make_demo_tells_two_speakers(report: Report) -> None:
    """The whole stack starts, transcribes the sample call with its speakers, and stops."""
    facts = report.facts("demo")
    assert len(facts["speakers"]) == 2 and facts["segments"] > 3


def test_a_second_start_has_what_the_first_one_made(report: Report) -> None:
    """`make run` in the demo's home becomes ready, each queue has a worker, and the transcript is the same."""
    assert report.facts("start")["workers_s"] > 0
    assert report.facts("history")["segments"] == report.facts("demo")["segments"]


def test_health_checks_answer_in_time(report: Report) -> None:
    """A container's health check is done before compose and Kubernetes give it up, on a processor that is emulated."""
    facts = report.facts("probes")
    assert max(facts["http_s"], facts["file_s"]) < PROBE_S * facts["patience"], facts


def test_a_killed_workers_task_is_taken_over(report: Report) -> None:
    """After kill -9 of all of a worker in the middle of recognition its task ends with its words, at the second
    attempt."""
    assert report.facts("killed_worker")["killed"] > 1


def test_the_doctor_finds_all_well(report: Report) -> None:
    """`parley doctor` says of the server and of the machine that they are as they should be, and names the platform."""
    assert report.facts("doctor")["platform"] == "Linux on ARM64; recognition computes as int8"


def test_it_stops_and_leaves_nothing(report: Report) -> None:
    """After Ctrl-C no process is left, and nothing had to be started again but the worker that was killed."""
    lines = report.facts("stop")["supervisor"]
    assert [line.split()[0] for line in lines] == ["worker-asr"], lines


def test_the_bench_ends_in_time(report: Report) -> None:
    """`scripts.bench.cpu` names the processor and has a row for each kind of work, also of what was too slow here."""
    facts = report.facts("bench")
    assert ", aarch64" in facts["head"]
    assert len(facts["rows"]) == 6 and "FAILED" not in str(facts["rows"]), facts["rows"]
