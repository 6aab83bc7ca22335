"""Spans of tasks, written down when they have ended, sent by a thread of their own. Imported only when traces are on.

Sent are names and numbers of ours alone: no URL, no file name, no key, no option that is text, no word of a transcript.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.claims import Claim
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

Value = str | int | float

SEND_EVERY_MS = 1000
"""What a process has to tell when it is killed is lost; this is how much of it."""

CLOSE_S = 1.0
"""How long an orderly end waits for the collector; a worker has two seconds in all."""

LOWER_HALF = (1 << 64) - 1
NS = 1_000_000_000


def context_of(task_id: uuid.UUID) -> SpanContext:
    """The first span of a task's trace, known to everybody who knows the task.

    A task's id is a UUIDv7: its last 62 bits are random, as those of a trace's and a span's id have to be.
    """
    flags = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)
    return SpanContext(task_id.int, task_id.int & LOWER_HALF, is_remote=True, trace_flags=flags)


class Spans:
    """What one process tells. Every method returns at once, whatever the collector does; times are of Unix, in ns.

    Address, headers, certificates and timeout of the collector are those of OpenTelemetry's own variables. Sampling is
    left to the collector: the samplers here would go by bits that are not random in the id of a task.
    """

    def __init__(self, service: str) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # a line per attempt, while nobody listens
        resource = Resource.create(
            {
                "service.namespace": "parley",
                "service.name": f"parley-{service}",
                "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            }
        )
        self._ids = _TaskIds()
        # not at exit: that waits for the collector half a minute
        self._provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=self._ids)
        sender = BatchSpanProcessor(_Delivery(OTLPSpanExporter()), schedule_delay_millis=SEND_EVERY_MS)
        self._provider.add_span_processor(sender)
        self._tracer = self._provider.get_tracer("parley")

    def request(
        self,
        tasks: Iterable[uuid.UUID],
        *,
        method: str,
        route: str,
        status: int,
        request_id: str,
        traceparent: str | None,
        seconds: float,
    ) -> None:
        """A request that has just been answered is the first span of each task that it made.

        When its caller traces, it is a span of the caller's trace as well, and the two point to each other.
        """
        name, ended_ns = f"{method} {route}", time.time_ns()
        began_ns = ended_ns - int(seconds * NS)
        about: dict[str, Value] = {
            "http.request.method": method,
            "http.route": route,
            "parley.request_id": request_id,
        }
        if status:  # else the caller went away before there was one
            about["http.response.status_code"] = status
        caller = _caller(traceparent)
        to_caller: tuple[Link, ...] = ()
        if caller:
            span = self._tracer.start_span(
                name,
                set_span_in_context(NonRecordingSpan(caller), Context()),
                SpanKind.SERVER,
                about,
                [Link(context_of(task_id), {"parley.task_id": str(task_id)}) for task_id in tasks],
                began_ns,
            )
            span.end(ended_ns)
            to_caller = (Link(span.get_span_context()),)
        for task_id in tasks:
            with self._ids.of(task_id):
                attributes = about | {"parley.task_id": str(task_id)}
                first = self._tracer.start_span(name, Context(), SpanKind.SERVER, attributes, to_caller, began_ns)
            first.end(ended_ns)

    def stage(self, claim: Claim, *, outcome: str, began_ns: int, **more: Value | None) -> None:
        """An attempt at a stage has just ended. `more` are further attributes; None is left out."""
        about: dict[str, Value] = {
            "parley.task_id": str(claim.job_id),
            "parley.stage": claim.stage,
            "parley.shard": claim.shard,
        }
        if claim.queued_s is not None:
            self._child(claim.job_id, f"queue {claim.stage}", about, began_ns - int(claim.queued_s * NS), began_ns)
        about |= {"parley.attempt": claim.attempt, "parley.outcome": outcome}
        about |= {f"parley.{name}": value for name, value in more.items() if value is not None}
        self._child(claim.job_id, claim.stage, about, began_ns, time.time_ns(), SpanKind.CONSUMER, outcome == "failed")

    def _child(
        self,
        task_id: uuid.UUID,
        name: str,
        attributes: Mapping[str, Value],
        began_ns: int,
        ended_ns: int,
        kind: SpanKind = SpanKind.INTERNAL,
        failed: bool = False,
    ) -> None:
        parent = set_span_in_context(NonRecordingSpan(context_of(task_id)), Context())
        span = self._tracer.start_span(name, parent, kind, attributes, start_time=began_ns)
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended_ns)

    def close(self) -> None:
        """Send what is left, for CLOSE_S at most."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)


class _TaskIds(RandomIdGenerator):
    """Random ids, but for the first span of a task."""

    def __init__(self) -> None:
        self._task: ContextVar[uuid.UUID | None] = ContextVar("task", default=None)

    @contextmanager
    def of(self, task_id: uuid.UUID) -> Iterator[None]:
        """A span that is begun meanwhile, without a parent, is that task's first one."""
        token = self._task.set(task_id)
        try:
            yield
        finally:
            self._task.reset(token)

    def generate_trace_id(self) -> int:
        task_id = self._task.get()
        return context_of(task_id).trace_id if task_id else super().generate_trace_id()

    def generate_span_id(self) -> int:
        task_id = self._task.get()
        return context_of(task_id).span_id if task_id else super().generate_span_id()


class _Delivery(SpanExporter):
    """The exporter, with one line in the log when spans begin to be lost and one when they arrive again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._losing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Called by the sending thread alone."""
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - whatever the libraries raise, these spans are lost and the next are tried
            result = SpanExportResult.FAILURE
        losing = result is not SpanExportResult.SUCCESS
        if losing and not self._losing:
            log.warning("traces_lost", spans=len(spans))
        elif self._losing and not losing:
            log.info("traces_arrive_again")
        self._losing = losing
        return result

    def shutdown(self) -> None:
        """Ends the wait for a retry, too."""
        self._exporter.shutdown()


def _caller(traceparent: str | None) -> SpanContext | None:
    """The caller's span, if its trace is recorded."""
    if not traceparent:
        return None
    span = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context()))
    context = span.get_span_context()
    return context if context.is_valid and context.trace_flags.sampled else None
