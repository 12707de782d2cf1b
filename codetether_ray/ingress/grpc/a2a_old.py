"""A2A 0.3 over gRPC: `a2a.v1.A2AService`."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from a2a.compat.v0_3 import a2a_v0_3_pb2 as wire
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.utils.errors import A2AError
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message_factory import GetMessageClass

from codetether_ray.a2a import old_protos
from codetether_ray.a2a.error_table import message_of
from codetether_ray.a2a.old_operations import OLD_OPERATIONS, OldOperation
from codetether_ray.a2a.versions import OLD, demand
from codetether_ray.ingress.grpc.a2a_calls import context_of, stated_version
from codetether_ray.ingress.parts import Parts

_SERVICE = wire.DESCRIPTOR.services_by_name["A2AService"]
SERVICE = _SERVICE.full_name
Convert = Callable[[Any], Any]


def _empty(result: Any) -> Empty:
    return Empty()


_PUSH = "tasks/pushNotificationConfig"
_METHODS: dict[str, tuple[str, Convert, Convert]] = {
    "SendMessage": ("message/send", old_protos.send_params, old_protos.send_response),
    "SendStreamingMessage": (
        "message/stream",
        old_protos.send_params,
        old_protos.stream_response,
    ),
    "GetTask": ("tasks/get", old_protos.query_params, old_protos.task_response),
    "CancelTask": ("tasks/cancel", old_protos.id_params, old_protos.task_response),
    "TaskSubscription": ("tasks/resubscribe", old_protos.id_params, old_protos.stream_response),
    "CreateTaskPushNotificationConfig": (
        f"{_PUSH}/set",
        old_protos.push_params,
        old_protos.push_response,
    ),
    "GetTaskPushNotificationConfig": (
        f"{_PUSH}/get",
        old_protos.get_push_params,
        old_protos.push_response,
    ),
    "ListTaskPushNotificationConfig": (
        f"{_PUSH}/list",
        old_protos.list_push_params,
        old_protos.list_push_response,
    ),
    "DeleteTaskPushNotificationConfig": (
        f"{_PUSH}/delete",
        old_protos.delete_push_params,
        _empty,
    ),
    "GetAgentCard": (
        "agent/getAuthenticatedExtendedCard",
        old_protos.no_params,
        old_protos.card_response,
    ),
}


def add_to(server: grpc.aio.Server, parts: Parts) -> None:
    """Have a server answer the service."""
    methods = {}
    for method in _SERVICE.methods:
        name, read, write = _METHODS[method.name]
        request: Any = GetMessageClass(method.input_type)
        methods[method.name] = _method(
            OLD_OPERATIONS[name], request.FromString, read, write, parts.handler
        )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))


def _method(
    operation: OldOperation,
    parse: Callable[[bytes], Any],
    read: Convert,
    write: Convert,
    handler: RequestHandler,
) -> Any:
    if operation.stream is not None:
        streaming = _stream(operation, read, write, handler)
        return grpc.unary_stream_rpc_method_handler(streaming, parse, _serialised)
    answer = _answer(operation, read, write, handler)
    return grpc.unary_unary_rpc_method_handler(answer, parse, _serialised)


def _serialised(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _answer(operation: OldOperation, read: Convert, write: Convert, handler: RequestHandler) -> Any:
    call = operation.answer
    assert call is not None

    async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            called = context_of(context)
            demand(OLD, stated_version(called))
            return write(await call(handler, old_protos.read(read, request), called))
        except A2AError as error:
            raise _named(error) from None

    return answer


def _stream(operation: OldOperation, read: Convert, write: Convert, handler: RequestHandler) -> Any:
    call = operation.stream
    assert call is not None

    async def stream(
        request: Any, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Any]:
        events = None
        try:
            called = context_of(context)
            demand(OLD, stated_version(called))
            events = call(handler, old_protos.read(read, request), called)
            async for event in events:
                yield write(event)
        except A2AError as error:
            raise _named(error) from None
        finally:
            if events is not None:
                await events.aclose()

    return stream


def _named(error: A2AError) -> A2AError:
    """The same with its name in front: clients of 0.3 read it there."""
    name = type(error).__name__
    return type(error)(message=f"{name}: {message_of(error)}", data=error.data)
