"""Whether an agent goes round in circles."""

import json
import re
from collections.abc import Sequence

from codetether_ray.agent.conversation import Round
from codetether_ray.core.messages import ToolCall

_REPEATS = 3
_PERIODS = (1, 2)  # A A A, and A B A B A B
_VARIES = re.compile(r"\b\d+(?:\.\d+)?\s?(?:ms|s|secs?|seconds)\b|\b\d\d:\d\d:\d\d(?:\.\d+)?\b")


def is_stuck(rounds: Sequence[Round]) -> bool:
    """Whether the last rounds repeat the same calls with the same results, three times over.

    Arguments are compared as JSON, results without durations and times of day.
    """
    return any(_repeats(rounds, period) for period in _PERIODS)


def _repeats(rounds: Sequence[Round], period: int) -> bool:
    if len(rounds) < period * _REPEATS:
        return False
    last = rounds[-period:]
    earlier = (rounds[-period * n : -period * (n - 1)] for n in range(2, _REPEATS + 1))
    return all(
        _is_same(one, other) for lap in earlier for one, other in zip(lap, last, strict=True)
    )


def _is_same(one: Round, other: Round) -> bool:
    return (
        len(one.calls) == len(other.calls)
        and all(_same_call(a, b) for a, b in zip(one.calls, other.calls, strict=True))
        and all(
            a.is_error == b.is_error and _same_text(a.content, b.content)
            for a, b in zip(one.results, other.results, strict=True)
        )
    )


def _same_call(one: ToolCall, other: ToolCall) -> bool:
    if one.name != other.name:
        return False
    return one.arguments == other.arguments or _value(one) == _value(other)


def _value(call: ToolCall) -> object:
    try:
        return json.loads(call.arguments)
    except ValueError:
        return call.arguments


def _same_text(one: str, other: str) -> bool:
    return one == other or _VARIES.sub("*", one) == _VARIES.sub("*", other)
