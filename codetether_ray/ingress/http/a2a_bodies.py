"""Reads the bodies of A2A requests over HTTP: strict JSON of a known media type."""

import json
from typing import Any, NoReturn, TypeVar

from a2a.server.context import ServerCallContext
from a2a.types import ContentTypeNotSupportedError, InvalidParamsError
from a2a.utils.errors import JSONParseError
from google.protobuf.json_format import ParseDict, ParseError
from starlette.requests import Request

from codetether_ray.a2a.soundness import PARSE_DEPTH, demand_sound
from codetether_ray.ingress.a2a_context import EXTENSION_HEADERS, call_context

MEDIA_TYPES = ("application/json", "application/a2a+json")
"""What requests are taken in; a charset after it doesn't matter."""
FAULTS = (
    ParseError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    RecursionError,
    OverflowError,
    SystemError,  # protobuf, where half a character is the name of a field
)
"""What the reading of a hostile body raises."""
_TEXT = 300
_Message = TypeVar("_Message")


def demand_json(request: Request) -> None:
    """Return if the request says that it brings JSON.

    Raises:
        ContentTypeNotSupportedError: it says something else, or nothing.
    """
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said not in MEDIA_TYPES:
        raise ContentTypeNotSupportedError(
            message=f"the content type is {said[:60] or 'not stated'!r}; "
            f"send {' or '.join(MEDIA_TYPES)}"
        )


def read_json(body: bytes) -> Any:
    """A body as JSON; NaN and the infinities are none.

    Raises:
        JSONParseError: it is not JSON.
    """
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:_TEXT]
        raise JSONParseError(message=f"the body is not JSON: {said}") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def read_params(params: Any, kind: type[_Message]) -> _Message:
    """Parameters as a message of the protocol; fields that it doesn't know are passed over.

    Raises:
        InvalidParamsError: they don't fit.
    """
    if not isinstance(params, dict):
        raise InvalidParamsError(message="params must be an object")
    message: Any = kind()
    try:
        ParseDict(params, message, ignore_unknown_fields=True, max_recursion_depth=PARSE_DEPTH)
    except FAULTS as error:
        raise InvalidParamsError(message=f"params don't fit: {said_of(error)}") from None
    demand_sound(message)
    found: _Message = message
    return found


def said_of(error: BaseException) -> str:
    """A parser's complaint, short, on one line."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    text = " ".join(str(error).split())[:_TEXT]
    return text.encode("utf-8", "replace").decode("utf-8")


def context_of(request: Request, message: Any = None) -> ServerCallContext:
    """The call's context."""
    extensions = [value for name in EXTENSION_HEADERS for value in request.headers.getlist(name)]
    return call_context(request.headers, extensions, message)
