"""A receiver of traces: an HTTP server that parses what OTLP's protobuf says."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """One span as it came."""

    trace: str
    id: str
    parent: str
    name: str
    kind: int
    start: int
    end: int
    is_error: bool
    attributes: dict[str, Any]
    service: str


@dataclass(slots=True)
class Receiver:
    """What was received."""

    url: str = ""
    spans: list[Got] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: int = 200
    """The status of every answer."""

    def named(self, beginning: str) -> list[Got]:
        """Spans whose names begin so."""
        return [span for span in self.spans if span.name.startswith(beginning)]

    async def take(self, request: web.Request) -> web.Response:
        """`POST /v1/traces`."""
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        if self.answers == 200:
            self.spans += _spans(ExportTraceServiceRequest.FromString(body))
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(status=self.answers, body=answer, content_type="application/x-protobuf")


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/traces", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def _spans(request: ExportTraceServiceRequest) -> list[Got]:
    found = []
    for of_resource in request.resource_spans:
        about = {a.key: a.value.string_value for a in of_resource.resource.attributes}
        for of_scope in of_resource.scope_spans:
            found += [_span(span, about.get("service.name", "")) for span in of_scope.spans]
    return found


def _span(span: Any, service: str) -> Got:
    return Got(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        kind=span.kind,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        is_error=span.status.code == 2,
        attributes={a.key: _value(a.value) for a in span.attributes},
        service=service,
    )


def _value(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, which) if which else None
