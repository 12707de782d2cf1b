"""The members of a line as JSON text: of an intent, of its outcome, of the chain's own words.

Every model call and tool call passes here twice, so nothing is built that is not written.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.jsontext import json_text
from codetether_ray.core.masking import Masker
from codetether_ray.core.spec import Correlation
from codetether_ray.ports.audit import Action

OPENED = "chain.opened"
CHECKPOINT = "chain.checkpoint"
CLOSED = "chain.closed"
OWN = "audit"
"""The category of a chain's own lines."""
INTENT = "intent"
"""The outcome of a line that says what is about to be done."""

_detail = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=str).encode
_MICRO = 1_000_000
_SHAPED = Masker()


def timestamp(now: float) -> str:
    """`2026-11-22T20:03:13.123456Z`."""
    seconds, micros = divmod(round(now * _MICRO), _MICRO)
    return f"{_second(seconds)}.{micros:06}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class Words:
    """Turns actions into text, with known and key-shaped secrets masked."""

    def __init__(self, principal: str) -> None:
        """`principal` stands where an action names none."""
        self._principal = principal
        self._known: set[str] = set()
        self._mask = Masker()

    def conceal(self, values: Iterable[str]) -> None:
        """Mask these values from now on."""
        new = {value for value in values if value} - self._known
        if new:
            self._known |= new
            self._mask = Masker(self._known)

    def subject(self, action: Action) -> str:
        """What intent and outcome have in common, with a comma behind: who does what to what."""
        who = action.principal or self._principal
        words = f"{action.action}\n{action.resource}\n{who}"
        if not self._mask.spans(words):
            return _subject(action.category, action.action, action.resource, who)
        return _subject(
            action.category,
            self._mask(action.action),
            self._mask(action.resource),
            self._mask(who),
        )

    def detail(self, detail: JsonObject | None) -> str:
        """A detail as JSON, in ASCII."""
        if not detail:
            return "{}"
        text = _detail(detail)
        return text if not self._mask.spans(text) else _detail(_masked(detail, self._mask))


def intent(id: str, now: float, subject: str, detail: str, correlation: Correlation | None) -> str:
    """The members of an intent."""
    return (
        f'"id":"{id}","timestamp":"{timestamp(now)}",{subject}"outcome":"intent",'
        f'"detail":{detail}{_correlation(correlation)}'
    )


def outcome(
    id: str,
    now: float,
    subject: str,
    result: str,
    detail: str,
    duration_ms: int,
    correlation: Correlation | None,
) -> str:
    """The members of an outcome."""
    return (
        f'"id":"{id}","timestamp":"{timestamp(now)}",{subject}"outcome":"{result}",'
        f'"detail":{detail},"duration_ms":{duration_ms}{_correlation(correlation)}'
    )


def own(id: str, now: float, action: str, detail: Mapping[str, Any]) -> str:
    """The members of a line that a chain writes about itself."""
    subject = _subject(OWN, action, "", "")
    return (
        f'"id":"{id}","timestamp":"{timestamp(now)}",{subject}"outcome":"success",'
        f'"detail":{_detail(detail)}'
    )


@lru_cache(maxsize=1024)
def _subject(category: str, action: str, resource: str, principal: str) -> str:
    quote = encode_basestring
    return (
        f'"category":{quote(category)},"action":{quote(action)},'
        f'"resource":{quote(resource)},"principal":{quote(principal)},'
    )


@lru_cache(maxsize=1024)
def _correlation(correlation: Correlation | None) -> str:
    """The ids, each with a comma before it; a key that somebody gave for an id is masked."""
    return "" if correlation is None else f",{_SHAPED(json_text(correlation)[1:-1])}"


def _masked(value: JsonValue, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(name): _masked(item, mask) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, mask) for item in value]
    return value
