"""What answers say about rate limits, in their many spellings.

`retry-after` (seconds or a date), `retry-after-ms`; OpenAI's `x-ratelimit-*-requests|tokens` with
durations such as `6m0s`; Anthropic's `anthropic-ratelimit-*` with RFC 3339 times; OpenRouter's
`x-ratelimit-*` with epoch milliseconds.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from codetether_ray.ports.limiter import RateFeedback

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[dhms]))+")
_DURATION_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
_IN_TEXT = re.compile(
    r"(?:try again|retry|resets?) (?:in|after) ((?:\d+(?:\.\d+)?(?:ms|[dhms]) ?)+)", re.IGNORECASE
)
_AT_TEXT = re.compile(
    r"(?:resets? at|regain access on) (\d{4}-\d\d-\d\d)(?: at)? (\d\d:\d\d(?::\d\d)?)( UTC)?"
)
_BEIJING = timezone(timedelta(hours=8))  # Z.AI names hours without saying where
_EPOCH_S, _EPOCH_MS = 1e9, 1e12

_BUCKETS = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-limit-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-limit-tokens", "x-ratelimit-reset-tokens"),
    *(
        tuple(f"anthropic-ratelimit-{what}-{field}" for field in ("remaining", "limit", "reset"))
        for what in ("requests", "tokens", "input-tokens", "output-tokens")
    ),
    ("x-ratelimit-remaining", "x-ratelimit-limit", "x-ratelimit-reset"),
)
_COUNTS_REQUESTS = frozenset({_BUCKETS[0][0], _BUCKETS[2][0], _BUCKETS[-1][0]})


class _Bucket(NamedTuple):
    counts_requests: bool
    remaining: int
    limit: int | None
    resets_in_s: float | None


def feedback(status: int, headers: Mapping[str, str], now: float) -> RateFeedback:
    """What a limiter should hear. `now` in seconds since the epoch.

    `remaining` and `limit` count requests; `resets_in_s` is that of a bucket that is empty, and
    else that of the requests.
    """
    buckets = list(_buckets(headers, now))
    requests = next((b for b in buckets if b.counts_requests), None)
    empty = [b.resets_in_s for b in buckets if b.remaining <= 0 and b.resets_in_s is not None]
    return RateFeedback(
        status=status,
        retry_after_s=retry_after(headers, now),
        remaining=requests.remaining if requests else None,
        limit=requests.limit if requests else None,
        resets_in_s=max(empty) if empty else requests.resets_in_s if requests else None,
    )


def wait_asked(headers: Mapping[str, str], text: str, now: float) -> float | None:
    """How long a 429 or 503 asks to wait, by its headers or else by its words."""
    asked = retry_after(headers, now)
    if asked is not None:
        return asked
    empty = [b.resets_in_s for b in _buckets(headers, now) if b.remaining <= 0]
    known = [reset for reset in empty if reset is not None]
    if known:
        return max(known)
    found = _IN_TEXT.search(text)
    return _duration(found[1].replace(" ", "")) if found else _until(text, now)


def _until(text: str, now: float) -> float | None:
    """Seconds until the hour that a text names."""
    found = _AT_TEXT.search(text)
    if found is None or not now:
        return None
    hour = datetime.fromisoformat(f"{found[1]} {found[2]}")
    return max(hour.replace(tzinfo=UTC if found[3] else _BEIJING).timestamp() - now, 0.0)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The `retry-after-ms` or `retry-after` of an answer, in seconds."""
    millis = _number(headers.get("retry-after-ms"))
    if millis is not None:
        return max(millis / 1000, 0.0)
    given = headers.get("retry-after")
    seconds = _number(given)
    if seconds is not None or given is None:
        return None if seconds is None else max(seconds, 0.0)
    try:
        return max(parsedate_to_datetime(given).timestamp() - now, 0.0)
    except ValueError:
        return None


def _buckets(headers: Mapping[str, str], now: float) -> Iterator[_Bucket]:
    for remaining, limit, reset in _BUCKETS:
        left = _number(headers.get(remaining))
        if left is not None:
            most = _number(headers.get(limit))
            yield _Bucket(
                counts_requests=remaining in _COUNTS_REQUESTS,
                remaining=int(left),
                limit=None if most is None else int(most),
                resets_in_s=_reset(headers.get(reset), now),
            )


def _reset(text: str | None, now: float) -> float | None:
    """Seconds until a reset given as a number, an epoch time, a duration or a date."""
    if text is None:
        return None
    number = _number(text)
    if number is not None:
        if number >= _EPOCH_MS:
            return max(number / 1000 - now, 0.0)
        return max(number - now, 0.0) if number >= _EPOCH_S else number
    if _DURATION.fullmatch(text):
        return _duration(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now, 0.0)


def _duration(text: str) -> float:
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PIECE.findall(text))


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
