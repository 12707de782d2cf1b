"""What the agent is told that makes an objective and key results of an intent."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from codetether_ray.core.measures import PARSERS, Network
from codetether_ray.core.okrs import Okr
from codetether_ray.okr.terms import KINDS, describe

_EARLIER_CHARS = 4_000

ROLE = (
    "You turn an intent into an objective with 2 to 5 key results that a machine can measure in "
    "this repository. Look at the repository first: its language, its test and lint commands, its "
    "scripts; use only commands that exist or that the work itself brings. Do none of the work. "
    "Your last message is JSON and nothing else."
)

_MEASURE = {
    "type": {"type": "string", "enum": list(KINDS)},
    **{
        name: {"type": "string"}
        for name in ("command", "pattern", "json_path", "path", "contains", "url")
    },
    "parse": {"type": "string", "enum": list(PARSERS)},
    "network": {"type": "string", "enum": list(get_args(Network))},
    "files": {"type": "array", "items": {"type": "string"}},
    "criteria": {"type": "array", "items": {"type": "string"}},
    "timeout_s": {"type": "number"},
    "status": {"type": "integer"},
    "any_exit": {"type": "boolean"},
}
"""Named one by one: some servers let a model write what the schema names and nothing else."""
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "objective": {"type": "string"},
            "description": {"type": "string"},
            "key_results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "title": {"type": "string"},
                        "description": {"type": "string"},
                        "target": {"type": "number"},
                        "direction": {"type": "string", "enum": ["higher", "lower"]},
                        "unit": {"type": "string"},
                        "metric_type": {
                            "type": "string",
                            "enum": ["progress", "count", "binary", "latency", "quality"],
                        },
                        "measure": {
                            "type": "object",
                            "properties": _MEASURE,
                            "required": ["type"],
                        },
                    },
                    "required": ["title", "target", "direction", "measure"],
                },
            },
        },
        "required": ["objective", "key_results"],
    }
)
"""JSON text of the schema that the answer satisfies; what it cannot say, `okr.rules` checks."""

_MEASURES = """\
A measure is one of:
{"type": "command", "command": "python scripts/bench.py", "parse": "regex", "pattern": \
"p95=([\\\\d.]+)", "files": ["scripts/bench.py"], "timeout_s": 120}
  "parse" is "exit_status" (1 if it ends with 0, else 0; target 1), "regex" (the first group of \
the last match of "pattern"), "json" (the number at "json_path" of what it prints) or "number" \
(the one number in its last line). It runs in a clean checkout. "files" are what measures, not \
what is improved: they are put back as they are now before each measurement, as are scripts that \
the command runs. A command has to end with 0 to count, unless "any_exit" is true.
{"type": "file", "path": "docs/api.md", "contains": "## Errors"}  (target 1; with "json_path" \
the number there)
{"type": "http", "url": "https://…", "status": 200, "network": "public"}  (target 1; "loopback" \
for this machine; with "json_path" the number there)
{"type": "rubric", "criteria": ["…", "…"]}  (the number of criteria that a second model finds met \
and proves by quotation; only where nothing else can measure)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """A draft that a person did not want, and what they said."""

    okr: Okr
    reason: str = ""


def draft_request(intent: str, denied: Sequence[Denied] = ()) -> str:
    """The message that asks for a draft."""
    earlier = "".join(_told(one) for one in denied)
    return (
        f"Intent:\n{intent}\n{earlier}\n"
        'Answer {"objective": "…", "description": "…", "key_results": [{"title", "description", '
        '"target", "direction": "higher" or "lower" is better, "unit", "metric_type": progress, '
        'count, binary, latency or quality, "measure"}]}: 2 to 5 key results which, all met, show '
        "that the intent is fulfilled, and which are not met yet.\n"
        f"{_MEASURES}\n"
        "Each is measured before the work and after each turn of it. Turns spent, words said and "
        "files touched are no results."
    )


def repair_request(request: str, answer: str, problem: str) -> str:
    """The message of the repair: the request, the answer, and what is wrong with it."""
    return (
        f"{request}\n\nAn earlier answer was:\n{answer[:_EARLIER_CHARS]}\n\n"
        f"It cannot be used: {problem}.\nAnswer again, with that put right."
    )


def _told(denied: Denied) -> str:
    lines = "\n".join(
        f"- {kr.title} ({kr.direction} is better, target {kr.target_value:g} {kr.unit}; "
        f"{describe(kr.measure)})"
        for kr in denied.okr.key_results
    )
    why = f" They said: {denied.reason}" if denied.reason else ""
    return (
        f"\nThe person who asked did not want this draft:\n{denied.okr.title}\n{lines}\n"
        f"{why.strip()}\nMake another one that they would want.\n"
    )
