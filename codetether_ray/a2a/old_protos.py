"""Protocol 0.3's messages on the wire (`a2a.v1`): read into the SDK's types, and made of them."""

import re
from collections.abc import Callable
from typing import Any

from a2a.compat.v0_3 import a2a_v0_3_pb2 as wire
from a2a.compat.v0_3 import types as old
from a2a.compat.v0_3.proto_utils import FromProto, ToProto
from a2a.types import InvalidParamsError
from a2a.utils.errors import A2AError

_TASK = re.compile(r"tasks/([^/]+)")
_CONFIG = re.compile(r"tasks/([^/]+)/pushNotificationConfigs/([^/]+)")
_FAULTS = (ValueError, TypeError, AttributeError, RecursionError, OverflowError)


def read(reader: Callable[[Any], Any], request: Any) -> Any:
    """The parameters of a request.

    Raises:
        InvalidParamsError: it has none, or wrong ones.
    """
    try:
        return reader(request)
    except A2AError:
        raise
    except _FAULTS as error:
        kind = type(error).__name__
        raise InvalidParamsError(message=f"the request's fields don't fit ({kind})") from None


def send_params(request: wire.SendMessageRequest) -> old.MessageSendParams:
    """Of `SendMessage` and `SendStreamingMessage`; who wrote the message has to be said."""
    if not request.HasField("request"):
        raise InvalidParamsError(message="message: Field is required.")
    message = request.request
    if message.role not in (wire.ROLE_USER, wire.ROLE_AGENT):
        raise InvalidParamsError(message="message.role: Field is required.")
    if not message.message_id:
        raise InvalidParamsError(message="message.message_id: Field is required.")
    if any(part.WhichOneof("part") is None for part in message.content):
        raise InvalidParamsError(message="message.content: a part says nothing")
    return FromProto.message_send_params(request)


def query_params(request: wire.GetTaskRequest) -> old.TaskQueryParams:
    """Of `GetTask`."""
    params = FromProto.task_query_params(request)
    if request.history_length < 0:
        raise InvalidParamsError(message="history_length: it can't be negative")
    return params


def id_params(request: Any) -> old.TaskIdParams:
    """Of `CancelTask` and `TaskSubscription`."""
    return old.TaskIdParams(id=task_id(request.name))


def push_params(
    request: wire.CreateTaskPushNotificationConfigRequest,
) -> old.TaskPushNotificationConfig:
    """Of `CreateTaskPushNotificationConfig`."""
    if not request.config.HasField("push_notification_config"):
        raise InvalidParamsError(message="config.push_notification_config: Field is required.")
    task = task_id(request.parent)
    pushed = FromProto.push_notification_config(request.config.push_notification_config)
    if request.config_id and not pushed.id:
        pushed.id = request.config_id
    return old.TaskPushNotificationConfig(task_id=task, push_notification_config=pushed)


def get_push_params(request: Any) -> old.GetTaskPushNotificationConfigParams:
    """Of `GetTaskPushNotificationConfig`."""
    task, config = _ids(request.name)
    return old.GetTaskPushNotificationConfigParams(id=task, push_notification_config_id=config)


def list_push_params(request: Any) -> old.ListTaskPushNotificationConfigParams:
    """Of `ListTaskPushNotificationConfig`."""
    return old.ListTaskPushNotificationConfigParams(id=task_id(request.parent))


def delete_push_params(request: Any) -> old.DeleteTaskPushNotificationConfigParams:
    """Of `DeleteTaskPushNotificationConfig`."""
    task, config = _ids(request.name)
    return old.DeleteTaskPushNotificationConfigParams(id=task, push_notification_config_id=config)


def no_params(request: Any) -> None:
    """Of `GetAgentCard`."""


def task_id(name: str) -> str:
    """The id in a resource's name, `tasks/ID`.

    Raises:
        InvalidParamsError: it is no such name.
    """
    found = _TASK.fullmatch(name)
    if found is None:
        raise InvalidParamsError(message="a task is named tasks/ID")
    return found.group(1)


def _ids(name: str) -> tuple[str, str]:
    found = _CONFIG.fullmatch(name)
    if found is None:
        raise InvalidParamsError(
            message="a configuration is named tasks/ID/pushNotificationConfigs/ID"
        )
    return found.group(1), found.group(2)


def send_response(result: old.Task | old.Message) -> wire.SendMessageResponse:
    """Of `SendMessage`."""
    if isinstance(result, old.Task):
        return wire.SendMessageResponse(task=ToProto.task(result))
    return wire.SendMessageResponse(msg=ToProto.message(result))


def list_push_response(
    found: list[old.TaskPushNotificationConfig],
) -> wire.ListTaskPushNotificationConfigResponse:
    """Of `ListTaskPushNotificationConfig`."""
    configs = [ToProto.task_push_notification_config(one) for one in found]
    return wire.ListTaskPushNotificationConfigResponse(configs=configs)


task_response = ToProto.task
push_response = ToProto.task_push_notification_config
stream_response = ToProto.stream_response
card_response = ToProto.agent_card
