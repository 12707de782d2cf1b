"""Sends finished spans by OTLP/HTTP, in the background, where the environment names a receiver.

The variables are OpenTelemetry's own: `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`),
headers, certificates, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SDK_DISABLED`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from codetether_ray import __version__
from codetether_ray.telemetry.span import Span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = frozenset({"", "http/protobuf"})
_SERVICE = "codetether"
_QUEUE = 20_000
"""Spans that wait to be sent; what comes beyond is dropped."""
_EVERY_MS = 1_000
_LAST_WORD_MS = 5_000
"""How long the end of a run may wait for its last spans to be taken."""

PASSED_ON = (
    *_ENDPOINTS,
    *_PROTOCOLS,
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_PROPAGATORS",
    "TRACEPARENT",
    "CODETETHER_LOG",
)
"""Variables of monitoring (none holds a secret) that a run takes along to its supervisor; headers
and certificates are those of the machine that it lives on."""


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether somebody receives traces."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none":
        return False
    return any(environ.get(name) for name in _ENDPOINTS)


def is_told_on(environ: Mapping[str, str]) -> bool:
    """Whether commands and providers are told in which trace they are: not, where somebody wants
    other propagators (`OTEL_PROPAGATORS=none`)."""
    names = environ.get("OTEL_PROPAGATORS", "tracecontext").lower().split(",")
    return is_wanted(environ) and "tracecontext" in (name.strip() for name in names)


def unspoken_protocol(environ: Mapping[str, str]) -> str:
    """The protocol that the environment asks for and that is not spoken here; empty if it is."""
    asked = next((found for name in _PROTOCOLS if (found := environ.get(name))), "")
    return "" if asked.strip().lower() in _SPOKEN else asked


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """Those variables of this process that its run's supervisor is to have."""
    return {
        name: value
        for name in PASSED_ON
        if (value := environ.get(name)) and not ("://" in value and "@" in value)
    }


class SpanSender:
    """Takes spans; a thread sends them each second. What cannot be sent is dropped and told once.

    Keeps true: it neither waits nor fails, but for `close`, which waits a little.
    """

    def __init__(self, on_failure: Callable[[str], None]) -> None:
        """`on_failure` is given a sentence, in another thread, when a batch was refused."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import (  # noqa: PLC0415 - 0.2 s, where wanted
            OTELResourceDetector,
            Resource,
        )
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        _quieten()
        ours = Resource({"service.name": _SERVICE, "service.version": __version__})
        self._resource = ours.merge(OTELResourceDetector().detect())
        exporter: Any = _Telling(OTLPSpanExporter(), on_failure)
        self._processor = BatchSpanProcessor(
            exporter, max_queue_size=_QUEUE, schedule_delay_millis=_EVERY_MS
        )

    def send(self, span: Span) -> None:
        """Send a span soon."""
        self._processor.on_end(_readable(span, self._resource))

    async def close(self) -> None:
        """Send what waits, or give up after five seconds."""
        await asyncio.to_thread(self._processor._batch_processor.shutdown, _LAST_WORD_MS)


class _Telling:
    """An exporter that says, once, that it could not export."""

    def __init__(self, exporter: Any, on_failure: Callable[[str], None]) -> None:
        self._exporter = exporter
        self._on_failure = on_failure
        self._is_told = False

    def export(self, spans: "Sequence[ReadableSpan]") -> Any:
        result = self._exporter.export(spans)
        if result.name != "SUCCESS" and not self._is_told:
            self._is_told = True
            self._on_failure(
                "traces could not be sent to the receiver that OTEL_EXPORTER_OTLP_ENDPOINT names; "
                "the run goes on without"
            )
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return bool(self._exporter.force_flush(timeout_millis))


def _readable(span: Span, resource: Any) -> "ReadableSpan":
    from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415
    from opentelemetry.trace import (  # noqa: PLC0415
        SpanContext,
        SpanKind,
        Status,
        StatusCode,
        TraceFlags,
    )

    flags = TraceFlags(TraceFlags.SAMPLED)
    parent = None
    if span.parent_id:
        parent = SpanContext(span.trace_id, span.parent_id, is_remote=False, trace_flags=flags)
    return ReadableSpan(
        name=span.name,
        context=SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=flags),
        parent=parent,
        resource=resource,
        attributes=MappingProxyType(dict(span.attributes)),
        kind=SpanKind.CLIENT if span.is_client else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
        start_time=int(span.start * 1e9),
        end_time=int(span.end * 1e9),
        instrumentation_scope=InstrumentationScope("codetether_ray", __version__),
    )


def _quieten() -> None:
    """What the exporter says of a receiver that is away goes to no terminal."""
    logger = logging.getLogger("opentelemetry")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
