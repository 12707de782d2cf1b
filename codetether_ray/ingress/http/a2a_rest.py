"""A2A's HTTP+JSON binding, version 1.0 (section 11 of the specification)."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from a2a.types import (
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    InvalidParamsError,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from a2a.utils.proto_utils import parse_params
from google.protobuf.json_format import MessageToDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from codetether_ray.a2a.error_table import as_protocol_error, as_rest
from codetether_ray.a2a.operations import OPERATIONS, Operation, as_stream_response
from codetether_ray.a2a.versions import CURRENT, demand, stated
from codetether_ray.core.access_errors import AccessError
from codetether_ray.ingress.http.a2a_bodies import (
    FAULTS,
    context_of,
    demand_json,
    read_json,
    read_params,
    said_of,
)
from codetether_ray.ingress.http.a2a_jsonrpc import dumped, listed
from codetether_ray.ingress.http.sse import EventStream, Sse
from codetether_ray.ingress.parts import Parts

MEDIA_TYPE = "application/a2a+json"
Read = Callable[[Request], Awaitable[Any]]
Endpoint = Callable[[Request], Awaitable[Response]]


async def _sent(request: Request) -> Any:
    return await _body(request, SendMessageRequest)


async def _body(request: Request, kind: type[Any]) -> Any:
    demand_json(request)
    return read_params(read_json(await request.body()), kind)


async def _new_push(request: Request) -> TaskPushNotificationConfig:
    params: TaskPushNotificationConfig = await _body(request, TaskPushNotificationConfig)
    params.task_id = request.path_params["id"]
    return params


async def _got(request: Request) -> Any:
    params = _queried(request, GetTaskRequest())
    params.id = request.path_params["id"]
    return params


async def _list(request: Request) -> Any:
    return _queried(request, ListTasksRequest())


async def _pushes(request: Request) -> Any:
    params = _queried(request, ListTaskPushNotificationConfigsRequest())
    params.task_id = request.path_params["id"]
    return params


def _queried(request: Request, params: Any) -> Any:
    """Parameters from the query.

    Raises:
        InvalidParamsError: one doesn't fit.
    """
    try:
        parse_params(request.query_params, params)
    except FAULTS as error:
        raise InvalidParamsError(message=f"the query doesn't fit: {said_of(error)}") from None
    return params


async def _cancelled(request: Request) -> CancelTaskRequest:
    return CancelTaskRequest(id=request.path_params["id"])


async def _subscribed(request: Request) -> SubscribeToTaskRequest:
    return SubscribeToTaskRequest(id=request.path_params["id"])


async def _push(request: Request) -> GetTaskPushNotificationConfigRequest:
    path = request.path_params
    return GetTaskPushNotificationConfigRequest(task_id=path["id"], id=path["push_id"])


async def _old_push(request: Request) -> DeleteTaskPushNotificationConfigRequest:
    path = request.path_params
    return DeleteTaskPushNotificationConfigRequest(task_id=path["id"], id=path["push_id"])


async def _card(request: Request) -> GetExtendedAgentCardRequest:
    return GetExtendedAgentCardRequest()


_PUSHES = "/tasks/{id}/pushNotificationConfigs"
ROUTES: tuple[tuple[str, str, str, Read], ...] = (
    ("POST", "/message:send", "SendMessage", _sent),
    ("POST", "/message:stream", "SendStreamingMessage", _sent),
    ("GET", "/tasks", "ListTasks", _list),
    ("POST", "/tasks/{id}:cancel", "CancelTask", _cancelled),
    ("GET", "/tasks/{id}:subscribe", "SubscribeToTask", _subscribed),
    ("POST", "/tasks/{id}:subscribe", "SubscribeToTask", _subscribed),
    ("GET", "/tasks/{id}", "GetTask", _got),
    ("POST", _PUSHES, "CreateTaskPushNotificationConfig", _new_push),
    ("GET", _PUSHES, "ListTaskPushNotificationConfigs", _pushes),
    ("GET", f"{_PUSHES}/{{push_id}}", "GetTaskPushNotificationConfig", _push),
    ("DELETE", f"{_PUSHES}/{{push_id}}", "DeleteTaskPushNotificationConfig", _old_push),
    ("GET", "/extendedAgentCard", "GetExtendedAgentCard", _card),
)


def routes(parts: Parts, prefix: str) -> list[BaseRoute]:
    """The binding's routes below a prefix."""
    return [
        Route(prefix + path, told(_endpoint(parts, OPERATIONS[name], read)), methods=[method])
        for method, path, name, read in ROUTES
    ]


def told(endpoint: Endpoint) -> Endpoint:
    """An endpoint whose errors are told as the binding tells them."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except AccessError:
            raise
        except Exception as error:  # noqa: BLE001 - told as the protocol tells it, and logged
            status, body = as_rest(as_protocol_error(error))
            return Response(dumped(body), status, media_type="application/json")

    return answer


def _endpoint(parts: Parts, operation: Operation, read: Read) -> Endpoint:
    async def answer(request: Request) -> Response:
        demand(CURRENT, stated(request.headers, request.query_params))
        params = await read(request)
        context = context_of(request, params)
        if operation.stream is not None:
            return await streamed(
                operation.stream(parts.handler, params, context),
                lambda event: MessageToDict(as_stream_response(event)),
            )
        assert operation.answer is not None
        result = await operation.answer(parts.handler, params, context)
        if isinstance(params, ListTasksRequest):
            return _json(request, listed(params, result))
        return _json(request, MessageToDict(result))

    return answer


def _json(request: Request, value: Any) -> Response:
    """An answer in the media type that the client speaks: A2A's own, or plain JSON."""
    said = request.headers.get("accept", "") + request.headers.get("content-type", "")
    kind = MEDIA_TYPE if MEDIA_TYPE in said else "application/json"
    return Response(dumped(value), media_type=kind)


async def streamed(
    events: AsyncGenerator[Any, None], as_dict: Callable[[Any], dict[str, Any]]
) -> Response:
    """Events as they come. What is wrong with the request is raised before the stream begins."""
    first = await anext(events, None)
    return EventStream(_told(first, events, as_dict))


async def _told(
    first: Any, events: AsyncGenerator[Any, None], as_dict: Callable[[Any], dict[str, Any]]
) -> AsyncIterator[Sse]:
    try:
        if first is not None:
            yield Sse(data=dumped(as_dict(first)))
        async for event in events:
            yield Sse(data=dumped(as_dict(event)))
    except Exception as error:  # noqa: BLE001 - told as the protocol tells it, and logged
        yield Sse(data=dumped(as_rest(as_protocol_error(error))[1]), event="error")
    finally:
        await events.aclose()
