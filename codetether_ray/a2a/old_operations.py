"""Protocol 0.3 over the handler of 1.0: its methods, what each takes and what it answers.

Values are the SDK's types of 0.3; the SDK converts them, what it gets wrong is mended here. They
are the parameters alone, so that JSON-RPC, gRPC and HTTP+JSON can use the same table.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from a2a.compat.v0_3 import conversions as convert
from a2a.compat.v0_3 import types as old
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import (
    GetExtendedAgentCardRequest,
    InvalidParamsError,
    ListTaskPushNotificationConfigsRequest,
    Message,
    TaskNotFoundError,
)
from a2a.utils.errors import A2AError
from google.protobuf.json_format import ParseError

from codetether_ray.a2a.operations import as_stream_response
from codetether_ray.a2a.soundness import demand_sound

_FAULTS = (ParseError, ValueError, TypeError, AttributeError, RecursionError, OverflowError)
_ID = 0
"""Of the SDK's request objects, which want one; no answer has it."""


@dataclass(frozen=True, slots=True)
class OldOperation:
    """One method; it has `answer` or `stream`."""

    params: Any
    """What pydantic validates parameters as: a type, or a union of types; None: it takes none."""
    answer: Callable[[RequestHandler, Any, ServerCallContext], Awaitable[Any]] | None = None
    stream: Callable[[RequestHandler, Any, ServerCallContext], AsyncGenerator[Any, None]] | None = (
        None
    )


def converted(conversion: Callable[[Any], Any], request: Any) -> Any:
    """A request of 0.3 as one of 1.0.

    Raises:
        InvalidParamsError: it has no counterpart, or can't be told again.
    """
    try:
        found = conversion(request)
    except A2AError:
        raise
    except _FAULTS as error:
        text = " ".join(str(error).split())[:300].encode("utf-8", "replace").decode()
        raise InvalidParamsError(message=f"params don't fit: {text}") from None
    demand_sound(found)
    return found


async def _send(
    handler: RequestHandler, params: old.MessageSendParams, context: ServerCallContext
) -> old.Task | old.Message:
    asked = old.SendMessageRequest(id=_ID, params=params)
    request = converted(convert.to_core_send_message_request, asked)
    answer = await handler.on_message_send(request, context)
    if isinstance(answer, Message):
        return convert.to_compat_message(answer)
    return convert.to_compat_task(answer)


async def _stream(
    handler: RequestHandler, params: old.MessageSendParams, context: ServerCallContext
) -> AsyncGenerator[Any, None]:
    asked = old.SendMessageRequest(id=_ID, params=params)
    request = converted(convert.to_core_send_message_request, asked)
    events = handler.on_message_send_stream(request, context)
    try:
        async for event in events:
            yield _as_old_event(event)
    finally:
        await events.aclose()


async def _resubscribe(
    handler: RequestHandler, params: old.TaskIdParams, context: ServerCallContext
) -> AsyncGenerator[Any, None]:
    asked = old.TaskResubscriptionRequest(id=_ID, params=params)
    request = converted(convert.to_core_subscribe_to_task_request, asked)
    events = handler.on_subscribe_to_task(request, context)
    try:
        async for event in events:
            yield _as_old_event(event)
    finally:
        await events.aclose()


def _as_old_event(event: Any) -> Any:
    return convert.to_compat_stream_response(as_stream_response(event), _ID).result


async def _get(
    handler: RequestHandler, params: old.TaskQueryParams, context: ServerCallContext
) -> old.Task:
    asked = old.GetTaskRequest(id=_ID, params=params)
    task = await handler.on_get_task(converted(convert.to_core_get_task_request, asked), context)
    if task is None:
        raise TaskNotFoundError
    return convert.to_compat_task(task)


async def _cancel(
    handler: RequestHandler, params: old.TaskIdParams, context: ServerCallContext
) -> old.Task:
    asked = old.CancelTaskRequest(id=_ID, params=params)
    request = converted(convert.to_core_cancel_task_request, asked)
    task = await handler.on_cancel_task(request, context)
    if task is None:
        raise TaskNotFoundError
    return convert.to_compat_task(task)


async def _set_push(
    handler: RequestHandler,
    params: old.TaskPushNotificationConfig,
    context: ServerCallContext,
) -> old.TaskPushNotificationConfig:
    asked = old.SetTaskPushNotificationConfigRequest(id=_ID, params=params)
    request = converted(convert.to_core_create_task_push_notification_config_request, asked)
    found = await handler.on_create_task_push_notification_config(request, context)
    return convert.to_compat_task_push_notification_config(found)


async def _get_push(
    handler: RequestHandler,
    params: old.GetTaskPushNotificationConfigParams | old.TaskIdParams,
    context: ServerCallContext,
) -> old.TaskPushNotificationConfig:
    """One by its id. Without an id: the one named like the task, else the first."""
    id_ = getattr(params, "push_notification_config_id", None)
    if not id_:
        return await _any_push(handler, params.id, context)
    asked = old.GetTaskPushNotificationConfigRequest(id=_ID, params=params)
    request = converted(convert.to_core_get_task_push_notification_config_request, asked)
    found = await handler.on_get_task_push_notification_config(request, context)
    return convert.to_compat_task_push_notification_config(found)


async def _any_push(
    handler: RequestHandler, task_id: str, context: ServerCallContext
) -> old.TaskPushNotificationConfig:
    listed = await handler.on_list_task_push_notification_configs(
        ListTaskPushNotificationConfigsRequest(task_id=task_id), context
    )
    named = [one for one in listed.configs if one.id == task_id]
    for config in [*named, *listed.configs]:
        return convert.to_compat_task_push_notification_config(config)
    raise TaskNotFoundError(message="the task has no push notification configuration")


async def _list_pushes(
    handler: RequestHandler,
    params: old.ListTaskPushNotificationConfigParams,
    context: ServerCallContext,
) -> list[old.TaskPushNotificationConfig]:
    asked = old.ListTaskPushNotificationConfigRequest(id=_ID, params=params)
    request = converted(convert.to_core_list_task_push_notification_config_request, asked)
    listed = await handler.on_list_task_push_notification_configs(request, context)
    return [convert.to_compat_task_push_notification_config(one) for one in listed.configs]


async def _delete_push(
    handler: RequestHandler,
    params: old.DeleteTaskPushNotificationConfigParams,
    context: ServerCallContext,
) -> None:
    asked = old.DeleteTaskPushNotificationConfigRequest(id=_ID, params=params)
    request = converted(convert.to_core_delete_task_push_notification_config_request, asked)
    await handler.on_delete_task_push_notification_config(request, context)


async def _card(handler: RequestHandler, params: None, context: ServerCallContext) -> old.AgentCard:
    card = await handler.on_get_extended_agent_card(GetExtendedAgentCardRequest(), context)
    return convert.to_compat_agent_card(card)


OLD_OPERATIONS: Mapping[str, OldOperation] = MappingProxyType(
    {
        "message/send": OldOperation(old.MessageSendParams, _send),
        "message/stream": OldOperation(old.MessageSendParams, stream=_stream),
        "tasks/get": OldOperation(old.TaskQueryParams, _get),
        "tasks/cancel": OldOperation(old.TaskIdParams, _cancel),
        "tasks/resubscribe": OldOperation(old.TaskIdParams, stream=_resubscribe),
        "tasks/pushNotificationConfig/set": OldOperation(old.TaskPushNotificationConfig, _set_push),
        "tasks/pushNotificationConfig/get": OldOperation(
            old.GetTaskPushNotificationConfigParams | old.TaskIdParams, _get_push
        ),
        "tasks/pushNotificationConfig/list": OldOperation(
            old.ListTaskPushNotificationConfigParams, _list_pushes
        ),
        "tasks/pushNotificationConfig/delete": OldOperation(
            old.DeleteTaskPushNotificationConfigParams, _delete_push
        ),
        "agent/getAuthenticatedExtendedCard": OldOperation(None, _card),
    }
)
"""By JSON-RPC method."""
