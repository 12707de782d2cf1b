"""The gate on gRPC: an interceptor for every service, streaming RPCs and unknown methods too.

A refusal is decided before a byte of a request is read. It is answered as a two-way stream, which
any client understands, whatever the method's own shape.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any
from urllib.parse import unquote

import grpc

from codetether_ray.core.errors import (
    AccessError,
    AuthUnavailableError,
    ForbiddenError,
    TooManyFailuresError,
    UnauthenticatedError,
)
from codetether_ray.core.principals import Principal
from codetether_ray.ingress.callers import CALLER
from codetether_ray.ingress.gate_keeper import Gate, Lasting, Watched
from codetether_ray.ingress.permissions import PUBLIC_RPCS, of_grpc

_ENDED = "the bearer token is not valid any more"
_Next = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]

_CODES: tuple[tuple[type[AccessError], grpc.StatusCode], ...] = (
    (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED),
    (ForbiddenError, grpc.StatusCode.PERMISSION_DENIED),
    (TooManyFailuresError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (AuthUnavailableError, grpc.StatusCode.UNAVAILABLE),
)


class GateInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """`grpc.aio.server(interceptors=[GateInterceptor(gate)])`; it has to be the first."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._noted: dict[str, Any] = {}
        """Handlers that note how they end, by method; the server's methods are few and stay."""

    async def intercept_service(
        self, continuation: _Next, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """The RPC's handler, or one that refuses."""
        method = handler_call_details.method
        if method in PUBLIC_RPCS:
            return await continuation(handler_call_details)
        tokens, forwarded = _read(handler_call_details.invocation_metadata)
        return await self._checked(method, tokens, forwarded, continuation, handler_call_details)

    async def _checked(
        self, method: str, tokens: list[str], forwarded: list[str], onward: _Next, details: Any
    ) -> Any:
        principal = None
        header = "Bearer" if len(tokens) > 1 else tokens[0] if tokens else None
        found = await self._gate.authenticated(header)
        if isinstance(found, AccessError):
            return self._refusing(method, found, None, forwarded)
        principal = found
        handler = await onward(details)
        if handler is None:
            return None
        need = of_grpc(method)
        try:
            if need is None:
                raise ForbiddenError("", "no permission opens this method")
            await self._gate.permit(principal, need)
        except AccessError as error:
            return self._refusing(method, error, principal, forwarded)
        CALLER.set(principal)
        if method not in self._noted:
            self._noted[method] = self._noting(method, handler)
        return self._noted[method]

    def _refusing(
        self, method: str, why: AccessError, principal: Principal | None, forwarded: list[str]
    ) -> Any:
        """A handler that ends the RPC at once; only there the client's address is known."""

        async def refuse(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            address = self._gate.proxies.client(peer_address(context.peer()), forwarded)
            error = self._gate.blamed(why, address)
            code = next(code for kind, code in _CODES if isinstance(error, kind))
            if self._gate.log is not None:
                self._gate.log.refused(principal, "grpc", method, code.name, address)
            trailing: tuple[tuple[str, str], ...] = ()
            if isinstance(error, TooManyFailuresError):
                trailing = (("retry-after", str(error.retry_after_s)),)
            await context.abort(code, str(error), trailing)

        return grpc.stream_stream_rpc_method_handler(refuse)

    def _noting(self, method: str, handler: Any) -> Any:
        """The same handler, whose end is noted; one that is no coroutine stays as it is.

        A stream ends with its token.
        """
        make, inner = _shape(handler)
        gate = self._gate

        if inspect.isasyncgenfunction(inner):

            async def streaming(request: Any, context: Any) -> AsyncIterator[Any]:
                principal, began, code = CALLER.get(), time.monotonic(), "OK"
                tokens, _ = _read(context.invocation_metadata())
                lasting = Lasting(gate, *tokens)
                try:
                    async with aclosing(_while(lasting, inner(request, context))) as messages:
                        async for message in messages:
                            yield message
                except UnauthenticatedError:
                    code = grpc.StatusCode.UNAUTHENTICATED.name
                    await context.abort(grpc.StatusCode.UNAUTHENTICATED, _ENDED)
                except BaseException as error:
                    code = _code_of(error, context)
                    raise
                finally:
                    self._note(method, principal, began, code)

            wrapped: Any = streaming
        elif inspect.iscoroutinefunction(inner):

            async def answering(request: Any, context: Any) -> Any:
                principal, began, code = CALLER.get(), time.monotonic(), "OK"
                try:
                    answer = await inner(request, context)
                    code = _code_of(None, context)
                    return answer
                except BaseException as error:
                    code = _code_of(error, context)
                    raise
                finally:
                    self._note(method, principal, began, code)

            wrapped = answering
        else:
            return handler
        return make(wrapped, handler.request_deserializer, handler.response_serializer)

    def _note(self, method: str, principal: Principal, began: float, code: str) -> None:
        if self._gate.log is not None:
            took_ms = int((time.monotonic() - began) * 1000)
            self._gate.log.passed(principal, "grpc", method, code, took_ms)


async def _while(lasting: Lasting, messages: AsyncGenerator[Any]) -> AsyncGenerator[Any]:
    """The messages while a token lasts, also where none comes.

    Raises:
        UnauthenticatedError: it has ended.
    """
    watched = Watched(lasting)
    watched.begin()
    try:
        async with aclosing(messages):
            async for message in messages:
                if watched.has_ended or not await lasting.is_valid():
                    raise UnauthenticatedError("invalid_token", _ENDED)
                watched.may_cancel = False
                yield message
                watched.may_cancel = True
                if watched.has_ended:
                    raise UnauthenticatedError("invalid_token", _ENDED)
    except asyncio.CancelledError:
        if watched.is_over():
            raise UnauthenticatedError("invalid_token", _ENDED) from None
        raise
    finally:
        watched.close()


def peer_address(peer: str) -> str:
    """The address in gRPC's `ipv4:1.2.3.4:5`, `ipv6:[::1]:5`; other forms as they are."""
    kind, _, rest = peer.partition(":")
    if kind == "ipv4":
        return rest.rpartition(":")[0]
    if kind == "ipv6":
        return unquote(rest).rpartition(":")[0].strip("[]")
    return peer


def _read(metadata: Iterable[tuple[str, str | bytes]] | None) -> tuple[list[str], list[str]]:
    """The values of `authorization` and of `x-forwarded-for`."""
    tokens: list[str] = []
    forwarded: list[str] = []
    for name, value in metadata or ():
        if name in ("authorization", "x-forwarded-for"):
            text = value if isinstance(value, str) else value.decode("latin-1")
            (tokens if name == "authorization" else forwarded).append(text)
    return tokens, forwarded


def _shape(handler: Any) -> tuple[Callable[..., Any], Any]:
    """What makes a handler of the same shape, and the function of this one."""
    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler, handler.stream_stream
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler, handler.stream_unary
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler, handler.unary_stream
    return grpc.unary_unary_rpc_method_handler, handler.unary_unary


def _code_of(error: BaseException | None, context: Any) -> str:
    """How an RPC ended, by name."""
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return "CANCELLED"
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return str(code.name)
    found = next((known.name for known in grpc.StatusCode if known.value[0] == code), "OK")
    return "UNKNOWN" if error is not None and found == "OK" else found
