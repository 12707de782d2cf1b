"""The protocol's errors in their three spellings: one table for JSON-RPC, gRPC and HTTP.

The statuses are those of section 5.4 of the specification, version 1.0.1. `docs/reference/
a2a-conformance.md` shows the table, by test.
"""

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from a2a.types import (
    ContentTypeNotSupportedError,
    ExtendedAgentCardNotConfiguredError,
    ExtensionSupportRequiredError,
    InternalError,
    InvalidAgentResponseError,
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
    VersionNotSupportedError,
)
from a2a.utils.errors import A2AError, JSONParseError

from codetether_ray.core.errors import CodetetherError, UsageError

_LOG = logging.getLogger(__name__)
DOMAIN = "a2a-protocol.org"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_TEXT = 2_000
"""Characters of a message that is told: it may hold what somebody sent."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """How one error is told."""

    jsonrpc: int
    grpc: str
    """A name of `grpc.StatusCode`."""
    http: int
    reason: str
    """Of the `google.rpc.ErrorInfo`."""
    is_of_0_3: bool = True
    """Whether clients of protocol 0.3 know the JSON-RPC code."""


SPELLINGS: Mapping[type[A2AError], Spelling] = MappingProxyType(
    {
        TaskNotFoundError: Spelling(-32001, "NOT_FOUND", 404, "TASK_NOT_FOUND"),
        TaskNotCancelableError: Spelling(-32002, "FAILED_PRECONDITION", 400, "TASK_NOT_CANCELABLE"),
        PushNotificationNotSupportedError: Spelling(
            -32003, "FAILED_PRECONDITION", 400, "PUSH_NOTIFICATION_NOT_SUPPORTED"
        ),
        UnsupportedOperationError: Spelling(
            -32004, "FAILED_PRECONDITION", 400, "UNSUPPORTED_OPERATION"
        ),
        ContentTypeNotSupportedError: Spelling(
            -32005, "INVALID_ARGUMENT", 400, "CONTENT_TYPE_NOT_SUPPORTED"
        ),
        InvalidAgentResponseError: Spelling(-32006, "INTERNAL", 500, "INVALID_AGENT_RESPONSE"),
        ExtendedAgentCardNotConfiguredError: Spelling(
            -32007, "FAILED_PRECONDITION", 400, "EXTENDED_AGENT_CARD_NOT_CONFIGURED"
        ),
        ExtensionSupportRequiredError: Spelling(
            -32008, "FAILED_PRECONDITION", 400, "EXTENSION_SUPPORT_REQUIRED", is_of_0_3=False
        ),
        VersionNotSupportedError: Spelling(
            -32009, "FAILED_PRECONDITION", 400, "VERSION_NOT_SUPPORTED", is_of_0_3=False
        ),
        JSONParseError: Spelling(-32700, "INVALID_ARGUMENT", 400, "PARSE_ERROR"),
        InvalidRequestError: Spelling(-32600, "INVALID_ARGUMENT", 400, "INVALID_REQUEST"),
        MethodNotFoundError: Spelling(-32601, "UNIMPLEMENTED", 404, "METHOD_NOT_FOUND"),
        InvalidParamsError: Spelling(-32602, "INVALID_ARGUMENT", 400, "INVALID_PARAMS"),
        InternalError: Spelling(-32603, "INTERNAL", 500, "INTERNAL_ERROR"),
    }
)


def spelling(error: A2AError) -> Spelling:
    """How an error is told: as the nearest class of its ancestry that the table has."""
    for kind in type(error).__mro__:
        if kind in SPELLINGS:
            return SPELLINGS[kind]
    return SPELLINGS[InternalError]


def as_protocol_error(error: BaseException) -> A2AError:
    """What may be told of any exception.

    Unforeseen ones are logged under a number, and nothing but that number is told of them.
    """
    if isinstance(error, A2AError):
        return error
    if isinstance(error, UsageError):
        return InvalidParamsError(message=str(error)[:_TEXT])
    number = secrets.token_hex(6)
    _LOG.error("an A2A request failed, error %s", number, exc_info=error)
    if isinstance(error, CodetetherError):
        kind = type(error).__name__.removesuffix("Error")
        return InternalError(message=f"Internal error ({kind}); the server's log has it: {number}")
    return InternalError(message=f"Internal error; the server's log has it under {number}")


def message_of(error: A2AError) -> str:
    """The error's sentence, fit for any wire. That a task is not found is said in these words:
    clients of 0.3 look for them.
    """
    text = error.message
    if isinstance(error, TaskNotFoundError) and "not found" not in text.lower():
        text = f"Task not found: {text}"
    return text[:_TEXT].encode("utf-8", "replace").decode("utf-8")


def details_of(error: A2AError) -> list[dict[str, Any]]:
    """The typed details: `ErrorInfo`, and which fields are wrong."""
    info = {"@type": _ERROR_INFO, "reason": spelling(error).reason, "domain": DOMAIN}
    details: list[dict[str, Any]] = [info]
    violations = violations_of(error)
    if violations:
        said = [{"field": field, "description": text} for field, text in violations]
        details.append({"@type": _BAD_REQUEST, "fieldViolations": said})
    return details


def violations_of(error: A2AError) -> list[tuple[str, str]]:
    """Wrong fields and what is wrong with them, as the SDK's validation tells them."""
    found = error.data.get("errors") if isinstance(error.data, dict) else None
    if not isinstance(error, InvalidParamsError) or not isinstance(found, list):
        return []
    return [(str(one["field"]), str(one["message"])) for one in found[:20]]


def as_jsonrpc(error: A2AError) -> dict[str, Any]:
    """The `error` member of a JSON-RPC 1.0 response."""
    return {
        "code": spelling(error).jsonrpc,
        "message": message_of(error),
        "data": details_of(error),
    }


def as_old_jsonrpc(error: A2AError) -> dict[str, Any]:
    """The same for protocol 0.3, whose clients know fewer codes."""
    spelled = spelling(error)
    code = spelled.jsonrpc if spelled.is_of_0_3 else SPELLINGS[InternalError].jsonrpc
    return {"code": code, "message": message_of(error)}


def as_rest(error: A2AError) -> tuple[int, dict[str, Any]]:
    """Status and body of a response of the HTTP+JSON binding (section 11.6)."""
    spelled = spelling(error)
    told = {
        "code": spelled.http,
        "status": spelled.grpc,
        "message": message_of(error),
        "details": details_of(error),
    }
    return spelled.http, {"error": told}
