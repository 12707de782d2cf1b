"""The protocol's operations, version 1.0, as a table: what each is asked with and who answers.

Transports differ in how they read a request and write an answer, and in nothing else.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    Message,
    SendMessageRequest,
    SendMessageResponse,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskArtifactUpdateEvent,
    TaskNotFoundError,
    TaskPushNotificationConfig,
    TaskStatusUpdateEvent,
)
from google.protobuf.empty_pb2 import Empty

Unary = Callable[[RequestHandler, Any, ServerCallContext], Awaitable[Any]]
Streaming = Callable[[RequestHandler, Any, ServerCallContext], AsyncGenerator[Any, None]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; it has `answer` or `stream`. Answers are messages of the protocol."""

    name: str
    request: type[Any]
    answer: Unary | None = None
    stream: Streaming | None = None


def as_stream_response(event: Any) -> StreamResponse:
    """An event of a task as it is streamed."""
    if isinstance(event, Task):
        return StreamResponse(task=event)
    if isinstance(event, TaskStatusUpdateEvent):
        return StreamResponse(status_update=event)
    if isinstance(event, TaskArtifactUpdateEvent):
        return StreamResponse(artifact_update=event)
    return StreamResponse(message=event)


async def _send(
    handler: RequestHandler, params: SendMessageRequest, context: ServerCallContext
) -> SendMessageResponse:
    answer = await handler.on_message_send(params, context)
    if isinstance(answer, Message):
        return SendMessageResponse(message=answer)
    return SendMessageResponse(task=answer)


async def _get(handler: RequestHandler, params: GetTaskRequest, context: ServerCallContext) -> Task:
    task = await handler.on_get_task(params, context)
    if task is None:
        raise TaskNotFoundError
    return task


async def _cancel(
    handler: RequestHandler, params: CancelTaskRequest, context: ServerCallContext
) -> Task:
    task = await handler.on_cancel_task(params, context)
    if task is None:
        raise TaskNotFoundError
    return task


async def _delete_push(
    handler: RequestHandler,
    params: DeleteTaskPushNotificationConfigRequest,
    context: ServerCallContext,
) -> Empty:
    await handler.on_delete_task_push_notification_config(params, context)
    return Empty()


async def _card(
    handler: RequestHandler, params: GetExtendedAgentCardRequest, context: ServerCallContext
) -> AgentCard:
    return await handler.on_get_extended_agent_card(params, context)


_ALL = (
    Operation("SendMessage", SendMessageRequest, _send),
    Operation(
        "SendStreamingMessage",
        SendMessageRequest,
        stream=lambda handler, params, context: handler.on_message_send_stream(params, context),
    ),
    Operation("GetTask", GetTaskRequest, _get),
    Operation(
        "ListTasks",
        ListTasksRequest,
        lambda handler, params, context: handler.on_list_tasks(params, context),
    ),
    Operation("CancelTask", CancelTaskRequest, _cancel),
    Operation(
        "SubscribeToTask",
        SubscribeToTaskRequest,
        stream=lambda handler, params, context: handler.on_subscribe_to_task(params, context),
    ),
    Operation(
        "CreateTaskPushNotificationConfig",
        TaskPushNotificationConfig,
        lambda handler, params, context: handler.on_create_task_push_notification_config(
            params, context
        ),
    ),
    Operation(
        "GetTaskPushNotificationConfig",
        GetTaskPushNotificationConfigRequest,
        lambda handler, params, context: handler.on_get_task_push_notification_config(
            params, context
        ),
    ),
    Operation(
        "ListTaskPushNotificationConfigs",
        ListTaskPushNotificationConfigsRequest,
        lambda handler, params, context: handler.on_list_task_push_notification_configs(
            params, context
        ),
    ),
    Operation(
        "DeleteTaskPushNotificationConfig", DeleteTaskPushNotificationConfigRequest, _delete_push
    ),
    Operation("GetExtendedAgentCard", GetExtendedAgentCardRequest, _card),
)
OPERATIONS: Mapping[str, Operation] = MappingProxyType({one.name: one for one in _ALL})
