"""The HTTP+JSON binding of protocol 0.3: the same verbs below `/v1`."""

from collections.abc import Awaitable, Callable
from typing import Any

from a2a.compat.v0_3 import a2a_v0_3_pb2 as wire
from a2a.compat.v0_3 import types as old
from a2a.types import InvalidParamsError
from google.protobuf.json_format import MessageToDict, ParseDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from codetether_ray.a2a import old_protos
from codetether_ray.a2a.old_operations import OLD_OPERATIONS, OldOperation
from codetether_ray.a2a.soundness import PARSE_DEPTH
from codetether_ray.a2a.versions import OLD, demand, stated
from codetether_ray.ingress.http.a2a_bodies import (
    FAULTS,
    context_of,
    demand_json,
    read_json,
    said_of,
)
from codetether_ray.ingress.http.a2a_jsonrpc import dumped
from codetether_ray.ingress.http.a2a_jsonrpc_old import plain
from codetether_ray.ingress.http.a2a_rest import Endpoint, streamed, told
from codetether_ray.ingress.parts import Parts

Read = Callable[[Request], Awaitable[Any]]
Write = Callable[[Any], Any]


async def _sent(request: Request) -> old.MessageSendParams:
    body = await _body(request, wire.SendMessageRequest())
    found: old.MessageSendParams = old_protos.read(old_protos.send_params, body)
    return found


async def _body(request: Request, message: Any) -> Any:
    demand_json(request)
    body = read_json(await request.body())
    if not isinstance(body, dict):
        raise InvalidParamsError(message="the body must be an object")
    try:
        ParseDict(body, message, ignore_unknown_fields=True, max_recursion_depth=PARSE_DEPTH)
    except FAULTS as error:
        raise InvalidParamsError(message=f"the body doesn't fit: {said_of(error)}") from None
    return message


async def _got(request: Request) -> old.TaskQueryParams:
    said = request.query_params.get("historyLength", "")
    if said and not (said.isascii() and said.isdigit() and len(said) < 9):
        raise InvalidParamsError(message="historyLength must be a number, zero or more")
    length = int(said) if said else None
    return old.TaskQueryParams(id=request.path_params["id"], history_length=length)


async def _named(request: Request) -> old.TaskIdParams:
    return old.TaskIdParams(id=request.path_params["id"])


async def _new_push(request: Request) -> old.TaskPushNotificationConfig:
    body = await _body(request, wire.CreateTaskPushNotificationConfigRequest())
    body.parent = f"tasks/{request.path_params['id']}"
    found: old.TaskPushNotificationConfig = old_protos.read(old_protos.push_params, body)
    return found


async def _push(request: Request) -> old.GetTaskPushNotificationConfigParams:
    path = request.path_params
    return old.GetTaskPushNotificationConfigParams(
        id=path["id"], push_notification_config_id=path["push_id"]
    )


async def _old_push(request: Request) -> old.DeleteTaskPushNotificationConfigParams:
    path = request.path_params
    return old.DeleteTaskPushNotificationConfigParams(
        id=path["id"], push_notification_config_id=path["push_id"]
    )


async def _pushes(request: Request) -> old.ListTaskPushNotificationConfigParams:
    return old.ListTaskPushNotificationConfigParams(id=request.path_params["id"])


async def _nothing(request: Request) -> None:
    return None


def _empty(result: Any) -> dict[str, Any]:
    return {}


def _proto(convert: Callable[[Any], Any]) -> Write:
    return lambda result: MessageToDict(convert(result))


_PUSHES = "/v1/tasks/{id}/pushNotificationConfigs"
_PUSH = "tasks/pushNotificationConfig"
_EVENT = _proto(old_protos.stream_response)
_TASK = _proto(old_protos.task_response)
_CONFIG = _proto(old_protos.push_response)
ROUTES: tuple[tuple[str, str, str, Read, Write], ...] = (
    ("POST", "/v1/message:send", "message/send", _sent, _proto(old_protos.send_response)),
    ("POST", "/v1/message:stream", "message/stream", _sent, _EVENT),
    ("POST", "/v1/tasks/{id}:cancel", "tasks/cancel", _named, _TASK),
    ("GET", "/v1/tasks/{id}:subscribe", "tasks/resubscribe", _named, _EVENT),
    ("POST", "/v1/tasks/{id}:subscribe", "tasks/resubscribe", _named, _EVENT),
    ("GET", "/v1/tasks/{id}", "tasks/get", _got, _TASK),
    ("POST", _PUSHES, f"{_PUSH}/set", _new_push, _CONFIG),
    ("GET", _PUSHES, f"{_PUSH}/list", _pushes, _proto(old_protos.list_push_response)),
    ("GET", f"{_PUSHES}/{{push_id}}", f"{_PUSH}/get", _push, _CONFIG),
    ("DELETE", f"{_PUSHES}/{{push_id}}", f"{_PUSH}/delete", _old_push, _empty),
    ("GET", "/v1/card", "agent/getAuthenticatedExtendedCard", _nothing, plain),
)


def routes(parts: Parts, prefix: str) -> list[BaseRoute]:
    """The binding's routes below a prefix."""
    return [
        Route(
            prefix + path,
            told(_endpoint(parts, OLD_OPERATIONS[name], read, write)),
            methods=[method],
        )
        for method, path, name, read, write in ROUTES
    ]


def _endpoint(parts: Parts, operation: OldOperation, read: Read, write: Write) -> Endpoint:
    async def answer(request: Request) -> Response:
        demand(OLD, stated(request.headers, request.query_params))
        params = await read(request)
        context = context_of(request)
        if operation.stream is not None:
            return await streamed(operation.stream(parts.handler, params, context), write)
        assert operation.answer is not None
        result = await operation.answer(parts.handler, params, context)
        return Response(dumped(write(result)), media_type="application/json")

    return answer
