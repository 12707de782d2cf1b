"""Numbers and events in the words that people read."""

import json
import unicodedata

from codetether_ray.core.messages import ToolCall
from codetether_ray.core.usage import Usage

_THOUSAND = 1000
_MINUTE_S = 60
_SHOWN_ARGUMENTS = ("command", "path", "pattern", "description", "key", "query")


def count(number: int) -> str:
    """`999`, `12.3k`, `4.56M`."""
    if number < _THOUSAND:
        return str(number)
    if number < _THOUSAND * _THOUSAND:
        return f"{number / _THOUSAND:.1f}k"
    return f"{number / _THOUSAND / _THOUSAND:.2f}M"


def plural(number: int, noun: str) -> str:
    """`1 agent`, `2 agents`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def seconds(span_s: float) -> str:
    """`4.2 s`, `42 s`, `3 min 05 s`."""
    if span_s < 10:
        return f"{max(span_s, 0):.1f} s"
    if span_s < _MINUTE_S:
        return f"{span_s:.0f} s"
    minutes, rest = divmod(round(span_s), _MINUTE_S)
    return f"{minutes} min {rest:02} s"


def dollars(cost_usd: float | None) -> str:
    """`$0.0123`, or that the price is unknown."""
    return "cost unknown" if cost_usd is None else f"${cost_usd:.4f}"


def tokens(usage: Usage) -> str:
    """`12.3k in (10.0k cached), 1.2k out`."""
    cached = f" ({count(usage.cache_read_tokens)} cached)" if usage.cache_read_tokens else ""
    return f"{count(usage.prompt_tokens)} in{cached}, {count(usage.completion_tokens)} out"


def one_line(text: str, limit: int) -> str:
    """The text on one line, cut to `limit` characters, with no control characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def column(text: str, width: int) -> str:
    """The text on one line in exactly `width` cells of a terminal, wide characters counted as two.

    What does not fit is cut and marked with an ellipsis.
    """
    flat = one_line(text, len(text) + 1)
    if cells(flat) > width:
        while flat and cells(flat) > width - 1:
            flat = flat[:-1]
        flat += "…"[:width]
    return flat + " " * (width - cells(flat))


def cells(text: str) -> int:
    """How many cells of a terminal a line takes."""
    return sum(_cells(c) for c in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def tool_call(call: ToolCall, limit: int = 90) -> str:
    """`bash pytest -q`: a call's name and the argument that says most."""
    return one_line(f"{call.name} {_telling_argument(call.arguments)}", limit)


def _telling_argument(arguments: str) -> str:
    try:
        given = json.loads(arguments)
    except ValueError:
        return arguments
    if not isinstance(given, dict):
        return arguments
    named = next((given[name] for name in _SHOWN_ARGUMENTS if name in given), None)
    return str(named) if named is not None else ""
