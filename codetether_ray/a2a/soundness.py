"""What clients may put into free-form values, so that every transport can tell it again.

The wire nests at most a hundred messages deep, and JSON has no infinity: a value beyond that could
be taken in by one transport and break an answer of another.
"""

import math
from typing import Any

from a2a.types import InvalidParamsError, Message, SendMessageRequest
from google.protobuf.struct_pb2 import Struct, Value

DEEPEST = 24
"""Levels of objects and lists; one level of them is up to three of the wire's."""
PARSE_DEPTH = 2 * DEEPEST + 10
"""`max_recursion_depth` for `google.protobuf.json_format`: it counts two a level."""


def demand_sound(request: Any) -> None:
    """Return if everything free-form in a request can be told again.

    Raises:
        InvalidParamsError: it is nested too deeply, or a number is not finite.
    """
    if not isinstance(request, SendMessageRequest):
        return
    if request.HasField("metadata"):
        _demand_struct(request.metadata, "metadata", 1)
    demand_sound_message(request.message)


def demand_sound_message(message: Message) -> None:
    """The same for one message."""
    if message.HasField("metadata"):
        _demand_struct(message.metadata, "message.metadata", 1)
    for part in message.parts:
        if part.HasField("metadata"):
            _demand_struct(part.metadata, "message.parts.metadata", 1)
        if part.HasField("data"):
            _demand_value(part.data, "message.parts.data", 1)


def _demand_struct(struct: Struct, field: str, depth: int) -> None:
    if depth > DEEPEST:
        raise InvalidParamsError(message=f"{field} is nested deeper than {DEEPEST} levels")
    for value in struct.fields.values():
        _demand_value(value, field, depth + 1)


def _demand_value(value: Value, field: str, depth: int) -> None:
    match value.WhichOneof("kind"):
        case "struct_value":
            _demand_struct(value.struct_value, field, depth)
        case "list_value":
            if depth > DEEPEST:
                raise InvalidParamsError(message=f"{field} is nested deeper than {DEEPEST} levels")
            for one in value.list_value.values:
                _demand_value(one, field, depth + 1)
        case "number_value":
            if not math.isfinite(value.number_value):
                raise InvalidParamsError(message=f"{field} holds a number that is not finite")
        case None:
            raise InvalidParamsError(message=f"{field} holds a value that says nothing")
