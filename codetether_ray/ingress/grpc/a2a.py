"""A2A 1.0 over gRPC: `lf.a2a.v1.A2AService`, made of the table of operations."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import a2a_pb2
from google.protobuf.message_factory import GetMessageClass

from codetether_ray.a2a.operations import OPERATIONS, Operation, as_stream_response
from codetether_ray.a2a.soundness import demand_sound
from codetether_ray.a2a.versions import CURRENT, demand
from codetether_ray.ingress.grpc.a2a_calls import context_of, stated_version
from codetether_ray.ingress.parts import Parts

_SERVICE = a2a_pb2.DESCRIPTOR.services_by_name["A2AService"]
SERVICE = _SERVICE.full_name


def add_to(server: grpc.aio.Server, parts: Parts) -> None:
    """Have a server answer the service."""
    methods = {
        method.name: _method(
            OPERATIONS[method.name], GetMessageClass(method.input_type), parts.handler
        )
        for method in _SERVICE.methods
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))


def _method(operation: Operation, request: Any, handler: RequestHandler) -> Any:
    if operation.stream is not None:
        return grpc.unary_stream_rpc_method_handler(
            _stream(operation, handler), request.FromString, _serialised
        )
    return grpc.unary_unary_rpc_method_handler(
        _answer(operation, handler), request.FromString, _serialised
    )


def _serialised(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _answer(operation: Operation, handler: RequestHandler) -> Any:
    call = operation.answer
    assert call is not None

    async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        called = context_of(context, request)
        demand(CURRENT, stated_version(called))
        demand_sound(request)
        return await call(handler, request, called)

    return answer


def _stream(operation: Operation, handler: RequestHandler) -> Any:
    call = operation.stream
    assert call is not None

    async def stream(
        request: Any, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Any]:
        called = context_of(context, request)
        demand(CURRENT, stated_version(called))
        demand_sound(request)
        events = call(handler, request, called)
        try:
            async for event in events:
                yield as_stream_response(event)
        finally:
            await events.aclose()

    return stream
