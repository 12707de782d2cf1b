"""The JSON-RPC methods of protocol 0.3."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import InvalidParamsError, MethodNotFoundError
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from codetether_ray.a2a.error_table import as_old_jsonrpc, as_protocol_error
from codetether_ray.a2a.old_operations import OLD_OPERATIONS
from codetether_ray.a2a.versions import CURRENT, stated, version_of
from codetether_ray.ingress.http.a2a_bodies import context_of
from codetether_ray.ingress.http.sse import EventStream, Sse

_Id = str | int | None
_KINDS = ("text", "file", "data")


class OldMethods:
    """Answers them."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._params = {
            name: TypeAdapter(one.params)
            for name, one in OLD_OPERATIONS.items()
            if one.params is not None
        }

    def knows(self, method: str) -> bool:
        """Whether it is a method of 0.3."""
        return method in OLD_OPERATIONS

    async def answer(
        self, request: Request, method: str, body: dict[str, Any], id_: _Id
    ) -> Response:
        """Answer one request, errors too."""
        try:
            return await self._answer(request, method, body, id_)
        except Exception as error:  # noqa: BLE001 - told as the protocol tells it, and logged
            told = as_old_jsonrpc(as_protocol_error(error))
            return _json({"jsonrpc": "2.0", "id": id_, "error": told})

    async def _answer(
        self, request: Request, method: str, body: dict[str, Any], id_: _Id
    ) -> Response:
        if version_of(stated(request.headers, request.query_params)) == CURRENT:
            raise MethodNotFoundError(message=f"A2A {CURRENT} has no method {method!r}")
        operation = OLD_OPERATIONS[method]
        params = self._read(method, body.get("params"))
        context = context_of(request)
        if operation.stream is not None:
            return EventStream(_told(operation.stream(self._handler, params, context), id_))
        assert operation.answer is not None
        result = await operation.answer(self._handler, params, context)
        return _json({"jsonrpc": "2.0", "id": id_, "result": plain(result)})

    def _read(self, method: str, params: Any) -> Any:
        adapter = self._params.get(method)
        if adapter is None:
            return None
        _demand_kinds(params)
        try:
            return adapter.validate_python(params)
        except (ValidationError, RecursionError) as error:
            raise InvalidParamsError(message=f"params don't fit: {wrong_fields(error)}") from None


def _demand_kinds(params: Any) -> None:
    """Return if every part of a message says what it is; the SDK would take it for text.

    Raises:
        InvalidParamsError: one doesn't (the schema of 0.3 requires it).
    """
    message = params.get("message") if isinstance(params, dict) else None
    parts = message.get("parts") if isinstance(message, dict) else None
    for number, part in enumerate(parts if isinstance(parts, list) else ()):
        if isinstance(part, dict) and part.get("kind") not in _KINDS:
            raise InvalidParamsError(
                message=f"params don't fit: message.parts.{number}.kind: "
                f"it must be one of {', '.join(_KINDS)}"
            )


def wrong_fields(error: Exception) -> str:
    """Which fields are wrong and why; never what was sent."""
    if not isinstance(error, ValidationError):
        return "nested too deeply"
    found = error.errors(include_url=False, include_input=False, include_context=False)[:5]
    return "; ".join(
        f"{'.'.join(str(step)[:60] for step in one['loc']) or 'params'}: {one['msg']}"
        for one in found
    )


def plain(result: Any) -> Any:
    """A value of 0.3 as JSON."""
    if isinstance(result, list):
        return [plain(one) for one in result]
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)
    return result


def _json(value: Any) -> Response:
    return Response(json.dumps(value, separators=(",", ":")), media_type="application/json")


async def _told(events: AsyncGenerator[Any, None], id_: _Id) -> AsyncIterator[Sse]:
    """Events as results; an error ends the stream, even one that is told before any event."""
    try:
        async for event in events:
            yield _event(id_, "result", plain(event))
    except Exception as error:  # noqa: BLE001 - told as the protocol tells it, and logged
        yield _event(id_, "error", as_old_jsonrpc(as_protocol_error(error)))
    finally:
        await events.aclose()


def _event(id_: _Id, member: str, value: Any) -> Sse:
    return Sse(data=json.dumps({"jsonrpc": "2.0", "id": id_, member: value}, separators=(",", ":")))
