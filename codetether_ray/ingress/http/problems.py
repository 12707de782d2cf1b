"""What went wrong over HTTP, as `application/problem+json` (RFC 9457): one table of statuses.

A2A's own routes answer with the protocol's errors instead. Nobody is ever shown a stack trace; what
we did not foresee is logged under a number that the answer names.
"""

import http
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from codetether_ray.core import access_errors, errors, task_errors, work_errors
from codetether_ray.core.errors import CodetetherError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MEDIA_TYPE = "application/problem+json"
STATUSES: Mapping[type[CodetetherError], int] = MappingProxyType(
    {
        errors.UsageError: 400,
        errors.ConfigError: 400,
        errors.PrdError: 422,
        errors.PlanError: 422,
        errors.InvalidOkrError: 422,
        errors.UnknownRunError: 404,
        errors.UnknownOkrError: 404,
        errors.UnknownProviderError: 404,
        errors.RunForgottenError: 410,
        errors.NoModelError: 409,
        errors.CredentialsError: 409,
        errors.UnknownPriceError: 409,
        errors.InfeasibleError: 409,
        errors.NotApprovedError: 409,
        errors.OkrChangedError: 409,
        errors.OkrTransitionError: 409,
        errors.RunBusyError: 409,
        errors.PrdBusyError: 409,
        errors.ParentsConflictError: 409,
        errors.DecisionNeededError: 409,
        errors.BudgetSpentError: 409,
        errors.WorkspaceError: 422,
        errors.PrdFileError: 422,
        errors.QuotaSpentError: 503,
        errors.ModelError: 502,
        errors.TooManyPollsError: 503,
        errors.ClusterError: 503,
        errors.ArchiveUnreachableError: 503,
        errors.SecretStoreError: 503,
        errors.AuditError: 503,
        errors.OkrStoreError: 503,
        errors.JournalError: 503,
        errors.AgentLostError: 503,
        errors.KeyAwayError: 503,
        access_errors.UnauthenticatedError: 401,
        access_errors.ForbiddenError: 403,
        access_errors.TooManyFailuresError: 429,
        access_errors.AuthUnavailableError: 503,
        task_errors.TaskStoreError: 503,
        work_errors.WorkStoreError: 503,
        work_errors.UnknownWorkError: 404,
        work_errors.UnknownWorkerError: 404,
        work_errors.WorkTakenError: 409,
    }
)
"""Of an error, the nearest class in its ancestry counts; none: 500. A class that is another room's
says it itself: `http_status`."""

_LOG = logging.getLogger(__name__)
_TEXT = 2000
"""Characters of a detail."""


def status_of(error: CodetetherError) -> int:
    """The HTTP status of an error of ours."""
    own = getattr(type(error), "http_status", None)
    if isinstance(own, int):
        return own
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def problem_body(status: int, detail: str, kind: str = "") -> bytes:
    """A problem as JSON; `kind` is the error's class, for programs."""
    title = http.HTTPStatus(status).phrase
    clean = detail[:_TEXT].encode("utf-8", "replace").decode("utf-8")
    fields = {"type": "about:blank", "title": title, "status": status, "detail": clean}
    return json.dumps(fields | ({"kind": kind} if kind else {})).encode()


async def send_problem(
    send: Send,
    status: int,
    detail: str,
    kind: str = "",
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    """A whole answer, for middlewares. `headers` come on top."""
    body = problem_body(status, detail, kind)
    own = (
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    )
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": body})


def problem(
    status: int, detail: str, kind: str = "", headers: Mapping[str, str] | None = None
) -> "Response":
    """A problem as a response, for routers."""
    from starlette.responses import Response

    body = problem_body(status, detail, kind)
    return Response(body, status, dict(headers or {}), media_type=MEDIA_TYPE)


def unforeseen(error: BaseException) -> str:
    """Log what nobody foresaw; the sentence that may be told of it."""
    number = secrets.token_hex(6)
    _LOG.error("unforeseen error %s", number, exc_info=error)
    return f"a fault of ours; the server's log has it under {number}"


def told_of(error: CodetetherError) -> tuple[int, str, str]:
    """Status, detail and kind that are told of an error of ours."""
    status = status_of(error)
    if status == 500:
        return status, unforeseen(error), "internal"
    return status, str(error), type(error).__name__.removesuffix("Error")


class Problems:
    """The ASGI middleware next to the routes: an exception becomes a problem, or ends a stream."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, whatever the application does."""
        has_begun = is_whole = False

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal has_begun, is_whole
            has_begun = True
            is_whole = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:  # noqa: BLE001 - told without detail, and logged
            if is_whole:  # Starlette raises again what `install`'s handler has answered
                return
            if isinstance(error, CodetetherError):
                told = told_of(error)
            else:
                told = 500, unforeseen(error), "internal"
            if has_begun:  # uvicorn ends the connection: who reads sees that the answer is torn
                raise TornAnswerError(told[1]) from None
            await send_problem(send, *told)


class TornAnswerError(Exception):
    """An answer had begun when its making failed; it is logged already."""


def install(app: "FastAPI") -> None:
    """Have a FastAPI application answer with problems: errors of ours, of validation, of HTTP."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    app.add_exception_handler(CodetetherError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Exception, _of_nobody)


async def _of_ours(_: "Request", error: Exception) -> "Response":
    assert isinstance(error, CodetetherError)
    return problem(*told_of(error))


async def _of_validation(_: "Request", error: Exception) -> "Response":
    """Which fields are wrong, and why; never what was sent: it may be a secret."""
    found: Any = error
    said = (f"{_place(one['loc'])}: {one['msg']}" for one in found.errors()[:5])
    return problem(422, "; ".join(said), "invalid")


def _place(loc: tuple[Any, ...]) -> str:
    return ".".join(str(step)[:100] for step in loc)


async def _of_nobody(_: "Request", error: Exception) -> "Response":
    return problem(500, unforeseen(error), "internal")


async def _of_http(request: "Request", error: Exception) -> "Response":
    from codetether_ray.ingress.http.allowing import methods_at

    found: Any = error
    headers = dict(found.headers or {})
    if found.status_code == 405:  # Starlette names the methods of one route alone
        methods = methods_at(request.app.routes, request.scope["path"])
        headers = {name: value for name, value in headers.items() if name.lower() != "allow"}
        headers["Allow"] = ", ".join(methods)
    return problem(found.status_code, str(found.detail), "", headers)
