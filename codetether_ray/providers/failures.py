"""A vendor's error, whatever its dress, as one of ours.

Told apart: what a new key mends (401, 403), what a shorter prompt mends (too long a context), what
only tomorrow or money mends (a spent quota), what waiting mends (429, 5xx), and what nothing mends.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from codetether_ray.core.errors import (
    CodetetherError,
    ContextOverflowError,
    CredentialsError,
    MalformedResponseError,
    ModelRefusedError,
    ModelUnavailableError,
    QuotaSpentError,
)
from codetether_ray.providers.limits import wait_asked

LONG_WAIT_S = 900.0
"""A provider that asks to wait longer than this has a quota for hours, not for minutes."""

_DETAIL_CHARS = 600
_RETRYABLE = frozenset({408, 409, 425, 429})
_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_STATUS_OF_CODE = {  # Z.AI: https://docs.z.ai/api-reference/api-code
    **dict.fromkeys(("1000", "1001", "1002", "1003", "1004"), 401),
    "1113": 402,
    "1211": 404,
    "1210": 400,
    "1214": 400,
    "1261": 400,
    "1301": 400,
    **dict.fromkeys(("1302", "1303", "1304", "1305", "1308", "1310"), 429),
}
_QUOTA_CODES = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "1113", "1304", "1308", "1310"}
)
_QUOTA_STATUSES = frozenset({400, 402, 403, 429})
_QUOTA = re.compile(
    r"exceeded your current quota|credit balance is too low|insufficient (?:balance|credit|fund)"
    r"|(?:daily|weekly|monthly|per day|per month|weekly/monthly) (?:\w+ ){0,2}limit"
    r"|(?:requests|tokens) per day|\((?:RPD|TPD)\)|api usage limits?|usage limit reached"
    r"|in arrears",
    re.IGNORECASE,
)
_OVERFLOW = re.compile(
    r"context_length_exceeded|maximum context length|context window|prompt is too long"
    r"|input is too long|prompt too long|too many (?:input )?tokens"
    r"|exceeds? (?:the )?(?:model'?s? )?(?:maximum |max )?context"
    r"|input length and `max_tokens` exceed|context size",
    re.IGNORECASE,
)


class _Told(NamedTuple):
    """What an error object says."""

    message: str
    kind: str
    code: str


def failure(
    provider: str, status: int, headers: Mapping[str, str], body: bytes, now: float
) -> CodetetherError:
    """The error that an HTTP answer other than 200 stands for. `now`: seconds since the epoch."""
    return _typed(provider, status, _told(body), headers, now)


def failure_in_body(provider: str, data: Mapping[str, Any]) -> CodetetherError:
    """The error that came under status 200, as the body or within the stream."""
    told = _read(data)
    status = _STATUS_OF_TYPE.get(told.kind) or _STATUS_OF_CODE.get(told.code)
    status = status or _STATUS_OF_TYPE.get(told.code)
    if status is None and told.code.isdigit() and 400 <= int(told.code) < 600:
        status = int(told.code)
    if status is None:
        return MalformedResponseError(provider, f"an error under status 200: {told.message}")
    return _typed(provider, status, told, {}, 0.0)


def _typed(
    provider: str, status: int, told: _Told, headers: Mapping[str, str], now: float
) -> CodetetherError:
    detail = told.message or "no reason given"
    wait = wait_asked(headers, detail, now)
    if _is_quota(status, told) or (status == 429 and (wait or 0.0) >= LONG_WAIT_S):
        return QuotaSpentError(provider, detail, wait)
    if status in (401, 403):
        return CredentialsError(provider, f"the key was refused ({status}: {detail})")
    if status in (400, 413, 422) and _OVERFLOW.search(f"{told.code} {detail}"):
        return ContextOverflowError(provider, detail)
    if status in _RETRYABLE or status >= 500:
        return ModelUnavailableError(provider, detail, status, wait)
    return ModelRefusedError(provider, detail, status)


def _is_quota(status: int, told: _Told) -> bool:
    if status == 402 or told.code in _QUOTA_CODES or told.kind in _QUOTA_CODES:
        return True
    return status in _QUOTA_STATUSES and _QUOTA.search(told.message) is not None


def _told(body: bytes) -> _Told:
    try:
        data = json.loads(body)
    except ValueError:
        return _Told(" ".join(body.decode("utf-8", "replace").split())[:_DETAIL_CHARS], "", "")
    return _read(data if isinstance(data, Mapping) else {"error": str(data)})


def _read(data: Mapping[str, Any]) -> _Told:
    error = data.get("error", data)
    if not isinstance(error, Mapping):
        return _Told(str(error)[:_DETAIL_CHARS], "", "")
    message = error.get("message") or error.get("msg") or error.get("detail") or json.dumps(error)
    kind, code = error.get("type"), error.get("code")
    return _Told(
        str(message)[:_DETAIL_CHARS],
        "" if kind is None else str(kind),
        "" if code is None else str(code),
    )
