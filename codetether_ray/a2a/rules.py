"""What the protocol allows a client to ask: pure decisions, said in the protocol's errors."""

from collections.abc import Iterable, Sequence

from a2a.types import (
    AgentCard,
    ContentTypeNotSupportedError,
    InvalidParamsError,
    Message,
    SendMessageConfiguration,
    SendMessageRequest,
    Task,
    UnsupportedOperationError,
)
from a2a.utils.input_mode_validator import validate_input_modes
from a2a.utils.proto_utils import validate_proto_required_fields

from codetether_ray.a2a.states import INTERRUPTED, NAMES, TERMINAL

_MOST_CHARACTERS = 256  # of an id that a client makes


def check_request(params: SendMessageRequest) -> None:
    """Whether a message is whole.

    The SDK's own check walks every field by reflection; it is asked for its words only where
    something is missing.

    Raises:
        InvalidParamsError: it is not.
    """
    message = params.message
    if not (message.message_id and message.role and message.parts):
        validate_proto_required_fields(params)
    if params.HasField("configuration"):
        _check_configuration(params.configuration)
    check_id("messageId", message.message_id)
    check_id("taskId", message.task_id)
    check_id("contextId", message.context_id)
    for place, part in enumerate(message.parts):
        if part.WhichOneof("content") is None:
            raise InvalidParamsError(
                f"parts[{place}] holds nothing; give it text, raw, url or data"
            )


def _check_configuration(configuration: SendMessageConfiguration) -> None:
    if configuration.history_length < 0:
        raise InvalidParamsError("historyLength must not be negative")
    if configuration.HasField("task_push_notification_config"):
        validate_proto_required_fields(configuration)


def check_id(name: str, value: str) -> None:
    """Whether an id of a client's making can be kept.

    Raises:
        InvalidParamsError: it is too long, or holds what is no printable character.
    """
    if value and (len(value) > _MOST_CHARACTERS or not value.isprintable()):
        raise InvalidParamsError(
            f"{name} must have at most {_MOST_CHARACTERS} printable characters"
        )


def check_modes(message: Message, accepted: Sequence[str], card: AgentCard) -> None:
    """Whether the agent takes what the message holds, and can answer in a form that is taken.

    Raises:
        ContentTypeNotSupportedError: it does not.
    """
    takes_any = "*/*" in card.default_input_modes
    if not takes_any and any(part.media_type for part in message.parts):
        validate_input_modes(message, card)
    if accepted:
        given = {*card.default_output_modes, *(m for s in card.skills for m in s.output_modes)}
        if given and not any(_is_given(mode, given) for mode in accepted):
            raise ContentTypeNotSupportedError(
                f"the agent answers in {', '.join(sorted(given))};"
                " none of these is in acceptedOutputModes"
            )


def _is_given(mode: str, given: Iterable[str]) -> bool:
    mode = mode.partition(";")[0].strip().lower()
    if mode in ("*", "*/*"):
        return True
    if mode == "text":  # how early clients spell it
        mode = "text/plain"
    if mode.endswith("/*"):
        return any(each.startswith(mode[:-1]) for each in given)
    return mode in given


def check_follow_up(message: Message, task: Task) -> None:
    """Whether a message may continue a task.

    A message to a task that is being worked on is refused: the protocol leaves it open, and its
    sender learns so at once, where a queue would answer with the wrong turn.

    Raises:
        InvalidParamsError: it names another context.
        UnsupportedOperationError: the task has ended, or is being worked on.
    """
    if message.context_id and message.context_id != task.context_id:
        raise InvalidParamsError(
            f"task {task.id} belongs to context {task.context_id}, not {message.context_id}"
        )
    state = task.status.state
    if state in TERMINAL:
        raise UnsupportedOperationError(
            f"task {task.id} has ended ({NAMES[state]}); send a message without taskId, in the"
            " same context, to go on"
        )
    if state not in INTERRUPTED:
        raise UnsupportedOperationError(
            f"task {task.id} is being worked on; wait until it rests, or cancel it"
        )


def is_repeated(message: Message, task: Task) -> bool:
    """Whether the task has heard this message already."""
    return any(
        heard.message_id == message.message_id and heard.role == message.role
        for heard in reversed(task.history)
    )


def shorten(task: Task, history_length: int | None) -> Task:
    """The task with the last messages of its history: all of them where None is asked for.

    The task is the caller's own, and is changed.
    """
    if history_length is not None:
        if history_length == 0:
            task.ClearField("history")
        elif len(task.history) > history_length:
            del task.history[:-history_length]
    return task
