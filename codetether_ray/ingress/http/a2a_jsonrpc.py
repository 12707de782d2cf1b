"""A2A as JSON-RPC 2.0 over HTTP, both versions on one path: the method's name tells them apart."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from a2a.types import (
    InvalidRequestError,
    ListTasksRequest,
    MethodNotFoundError,
)
from a2a.utils.errors import A2AError
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from starlette.requests import Request
from starlette.responses import Response

from codetether_ray.a2a.error_table import as_jsonrpc, as_protocol_error
from codetether_ray.a2a.operations import OPERATIONS, Operation, as_stream_response
from codetether_ray.a2a.versions import CURRENT, demand, stated
from codetether_ray.core.access_errors import AccessError
from codetether_ray.ingress import permissions
from codetether_ray.ingress.callers import caller
from codetether_ray.ingress.http.a2a_bodies import (
    context_of,
    demand_json,
    read_json,
    read_params,
)
from codetether_ray.ingress.http.a2a_jsonrpc_old import OldMethods
from codetether_ray.ingress.http.sse import EventStream, Sse
from codetether_ray.ingress.parts import Parts

_Id = str | int | None


class JsonRpc:
    """The endpoint."""

    def __init__(self, parts: Parts) -> None:
        self._handler, self._gate = parts.handler, parts.gate
        self._old = OldMethods(parts.handler)

    async def answer(self, request: Request) -> Response:
        """Answer one request; what is wrong with it is told in the answer's `error`, by 200.

        Raises:
            AccessError: the caller may not use the method; HTTP has statuses for that.
        """
        id_: _Id = None
        try:
            demand_json(request)
            body = read_json(await request.body())
            id_ = id_of(body)
            method = method_of(body)
            await self._demand_permission(method)
            if self._old.knows(method):
                return await self._old.answer(request, method, body, id_)
            return await self._answer(request, method, body, id_)
        except AccessError:
            raise
        except Exception as error:  # noqa: BLE001 - told as the protocol tells it, and logged
            return failure(id_, as_protocol_error(error))

    async def _demand_permission(self, method: str) -> None:
        permission = permissions.of_rpc(method)
        if permission is None:
            raise MethodNotFoundError(message=f"there is no method {method[:60]!r}")
        await self._gate.permit(caller(), permission)

    async def _answer(
        self, request: Request, method: str, body: dict[str, Any], id_: _Id
    ) -> Response:
        operation = OPERATIONS.get(method)
        if operation is None:
            raise MethodNotFoundError(message=f"there is no method {method[:60]!r}")
        demand(CURRENT, stated(request.headers, request.query_params))
        params = read_params(_params_of(body), operation.request)
        context = context_of(request, params)
        if operation.stream is not None:
            events = operation.stream(self._handler, params, context)
            first = await anext(events, None)
            return EventStream(_told(first, events, id_))
        assert operation.answer is not None
        answer = await operation.answer(self._handler, params, context)
        return success(id_, _as_json(operation, params, answer))


def _params_of(body: dict[str, Any]) -> Any:
    params = body.get("params")
    return {} if params is None else params


def id_of(body: Any) -> _Id:
    """The id that an answer has to repeat, as far as the body has one."""
    id_ = body.get("id") if isinstance(body, dict) else None
    return id_ if isinstance(id_, str | int) and not isinstance(id_, bool) else None


def method_of(body: Any) -> str:
    """The method of a request.

    Raises:
        InvalidRequestError: it is not one JSON-RPC 2.0 request.
    """
    if isinstance(body, list):
        raise InvalidRequestError(message="batches are not supported: send one request at a time")
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0":
        raise InvalidRequestError(message='a request is an object with "jsonrpc": "2.0"')
    if "id" in body and body["id"] is not None and id_of(body) is None:
        raise InvalidRequestError(message="id must be a string, an integer or null")
    method = body.get("method")
    if not isinstance(method, str) or not method:
        raise InvalidRequestError(message="method must be the name of a method")
    return method


def success(id_: _Id, result: Any) -> Response:
    """A result."""
    return _json({"jsonrpc": "2.0", "id": id_, "result": result})


def failure(id_: _Id, error: A2AError) -> Response:
    """An error."""
    return _json({"jsonrpc": "2.0", "id": id_, "error": as_jsonrpc(error)})


def _json(value: Any) -> Response:
    return Response(dumped(value), media_type="application/json")


def dumped(value: Any) -> str:
    """JSON in ASCII: whatever a client sent can be said again."""
    return json.dumps(value, separators=(",", ":"))


def _as_json(operation: Operation, params: Any, answer: Any) -> Any:
    if isinstance(answer, Empty):
        return None
    if isinstance(params, ListTasksRequest):
        return listed(params, answer)
    return MessageToDict(answer)


def listed(params: ListTasksRequest, answer: Any) -> dict[str, Any]:
    """A list of tasks with all its fields; without `artifacts` where nobody asked for them."""
    found: dict[str, Any] = MessageToDict(answer, always_print_fields_with_no_presence=True)
    if not params.include_artifacts:
        for task in found["tasks"]:
            task.pop("artifacts", None)
    return found


async def _told(first: Any, events: AsyncGenerator[Any, None], id_: _Id) -> AsyncIterator[Sse]:
    """Events as results; what breaks the stream is its last one."""
    try:
        if first is not None:
            yield _as_event(first, id_)
        async for event in events:
            yield _as_event(event, id_)
    except Exception as error:  # noqa: BLE001 - told as the protocol tells it, and logged
        told = as_jsonrpc(as_protocol_error(error))
        yield Sse(data=dumped({"jsonrpc": "2.0", "id": id_, "error": told}), event="error")
    finally:
        await events.aclose()


def _as_event(event: Any, id_: _Id) -> Sse:
    result = MessageToDict(as_stream_response(event))
    return Sse(data=dumped({"jsonrpc": "2.0", "id": id_, "result": result}))
