"""Errors of every RPC: a status that says what is wrong, with typed details, never a trace.

gRPC by itself answers an exception with its text, and bytes that are no message with INTERNAL.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import grpc
from a2a.types import InvalidParamsError
from a2a.utils.errors import A2AError
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from codetether_ray.a2a.error_table import (
    DOMAIN,
    as_protocol_error,
    message_of,
    spelling,
    violations_of,
)
from codetether_ray.core.errors import CodetetherError
from codetether_ray.ingress.http.problems import status_of

_Next = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]
_DETAILS = "grpc-status-details-bin"
_CODES: Mapping[int, grpc.StatusCode] = MappingProxyType(
    {
        400: grpc.StatusCode.INVALID_ARGUMENT,
        401: grpc.StatusCode.UNAUTHENTICATED,
        403: grpc.StatusCode.PERMISSION_DENIED,
        404: grpc.StatusCode.NOT_FOUND,
        409: grpc.StatusCode.FAILED_PRECONDITION,
        410: grpc.StatusCode.NOT_FOUND,
        413: grpc.StatusCode.RESOURCE_EXHAUSTED,
        422: grpc.StatusCode.INVALID_ARGUMENT,
        429: grpc.StatusCode.RESOURCE_EXHAUSTED,
        502: grpc.StatusCode.UNAVAILABLE,
        503: grpc.StatusCode.UNAVAILABLE,
    }
)
"""Of an error of ours, by the status that HTTP has for it."""


class ErrorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Behind the gate, in front of every service."""

    def __init__(self) -> None:
        self._guarded: dict[str, Any] = {}

    async def intercept_service(
        self, continuation: _Next, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """The RPC's handler, which reads, answers and fails under guard."""
        method = handler_call_details.method
        if method not in self._guarded:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            self._guarded[method] = _guarded(handler)
        return self._guarded[method]


def _guarded(handler: Any) -> Any:
    read = handler.request_deserializer or _as_it_is
    write = handler.response_serializer or _as_it_is
    if handler.unary_unary:
        return grpc.unary_unary_rpc_method_handler(_unary(handler.unary_unary, read, write))
    if handler.unary_stream:
        return grpc.unary_stream_rpc_method_handler(
            _streaming(handler.unary_stream, _reading(read), write)
        )
    if handler.stream_stream:
        return grpc.stream_stream_rpc_method_handler(
            _streaming(handler.stream_stream, _reading_all(read), write)
        )
    return grpc.stream_unary_rpc_method_handler(
        _unary(handler.stream_unary, _reading_all(read), write)
    )


def _as_it_is(value: Any) -> Any:
    return value


def _reading(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """A message of the request's type.

    Raises:
        InvalidParamsError: the bytes are none.
    """

    def parsed(raw: bytes) -> Any:
        try:
            return read(raw)
        except DecodeError:
            raise InvalidParamsError(message="the bytes are no message of this RPC") from None

    return parsed


def _reading_all(read: Callable[[bytes], Any]) -> Callable[[Any], Any]:
    one = _reading(read)

    async def parsed(requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for raw in requests:
            yield one(raw)

    return parsed


def _unary(inner: Any, read: Callable[[Any], Any], write: Callable[[Any], bytes]) -> Any:
    reading = read if inspect.isasyncgenfunction(read) else _reading(read)

    async def answer(raw: Any, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        try:
            return write(await inner(reading(raw), context))
        except Exception as error:  # noqa: BLE001 - told as a status
            await abort(context, error)

    return answer


def _streaming(inner: Any, read: Callable[[Any], Any], write: Callable[[Any], bytes]) -> Any:
    if inspect.isasyncgenfunction(inner):
        return _generating(inner, read, write)

    async def answer(raw: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        try:
            await inner(read(raw), _Writing(context, write))
        except Exception as error:  # noqa: BLE001 - told as a status
            await abort(context, error)

    return answer


def _generating(inner: Any, read: Callable[[Any], Any], write: Callable[[Any], bytes]) -> Any:
    async def stream(raw: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[bytes]:
        answers = None
        try:
            answers = inner(read(raw), context)
            async for message in answers:
                yield write(message)
        except Exception as error:  # noqa: BLE001 - told as a status
            await abort(context, error)
        finally:
            if answers is not None:
                await answers.aclose()

    return stream


class _Writing:
    """A context whose `write` takes messages."""

    def __init__(
        self, context: grpc.aio.ServicerContext[Any, Any], write: Callable[[Any], bytes]
    ) -> None:
        self._context, self._write = context, write

    async def write(self, message: Any) -> None:
        await self._context.write(self._write(message))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: Exception) -> NoReturn:
    """End the RPC with the status of an error.

    Raises:
        grpc.aio.AbortError: always; it is how gRPC ends an RPC.
    """
    if isinstance(error, grpc.aio.AbortError):
        raise error
    code, message, trailing = told(error)
    await context.abort(code, message, trailing)
    raise AssertionError  # it never comes here


def told(error: Exception) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """Code, message and trailing metadata that an error is told by."""
    if isinstance(error, CodetetherError) and status_of(error) in _CODES:
        return _CODES[status_of(error)], str(error)[:2_000], ()
    if isinstance(error, NotImplementedError):
        return grpc.StatusCode.UNIMPLEMENTED, "this method does not exist here", ()
    protocol = as_protocol_error(error)
    code = grpc.StatusCode[spelling(protocol).grpc]
    status = status_for(protocol, code)
    return code, status.message, ((_DETAILS, status.SerializeToString()),)


def status_for(error: A2AError, code: grpc.StatusCode) -> Status:
    """The rich status of an error of the protocol (section 10.6)."""
    status = Status(code=code.value[0], message=message_of(error))
    _pack(status, ErrorInfo(reason=spelling(error).reason, domain=DOMAIN))
    violations = violations_of(error)
    if violations:
        said = [
            BadRequest.FieldViolation(field=field, description=text) for field, text in violations
        ]
        _pack(status, BadRequest(field_violations=said))
    return status


def _pack(status: Status, detail: Any) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)
