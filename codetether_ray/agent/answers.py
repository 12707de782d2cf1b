"""What an answer without tool calls is worth: done, to be asked for more, or given up on."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from codetether_ray.agent.conversation import Turn
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.models import ModelResponse

NudgeReason = Literal["length", "empty", "content_filter", "schema"]

_TRIES: Mapping[NudgeReason, int] = MappingProxyType(
    {"length": 3, "empty": 3, "content_filter": 1, "schema": 1}
)
_TEXTS: Mapping[NudgeReason, str] = MappingProxyType(
    {
        "length": (
            "Your answer was cut off at the output limit. Go on exactly where it stopped, "
            "without repeating anything; make tool calls smaller."
        ),
        "empty": (
            "Your last message was empty. If the task is done, say in a few sentences what you "
            "did and what you found; if not, go on with it."
        ),
        "content_filter": (
            "The provider's content filter stopped your last message. Go on in another way."
        ),
        "schema": (
            "Your last message is not the JSON that was asked for: {problem}. Answer again with "
            "only the corrected JSON."
        ),
    }
)
_FAILURES: Mapping[NudgeReason, str] = MappingProxyType(
    {
        "length": "the model's answer was cut off at its output limit again and again",
        "empty": "the model answered nothing, again and again",
        "content_filter": "the provider's content filter stopped the model's answer",
        "schema": "the model's answer does not satisfy the schema: {problem}",
    }
)
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong with an answer (`reason` is None if nothing is), and its text."""

    text: str = ""
    reason: NudgeReason | None = None
    problem: str = ""

    def may_be_asked_again(self, turn: Turn) -> bool:
        """Whether the model has been asked less often than it may for this reason."""
        return self.reason is not None and turn.nudges.count(self.reason) < _TRIES[self.reason]

    @property
    def request(self) -> str:
        """What to tell the model."""
        return _TEXTS[self.reason].format(problem=self.problem) if self.reason else ""

    @property
    def failure(self) -> str:
        """What to tell the user, after the last try."""
        return _FAILURES[self.reason].format(problem=self.problem) if self.reason else ""


def judge(response: ModelResponse, carried: str, schema: JsonObject | None) -> Verdict:
    """Judge an answer; `carried` is the text of answers that it goes on from."""
    text = (carried + response.message.text).strip()
    if response.finish_reason == "content_filter":
        return Verdict(text=text, reason="content_filter")
    if response.finish_reason == "length":
        return Verdict(text=text, reason="length")
    if not response.message.text.strip():
        return Verdict(text=text, reason="empty")
    if schema is None:
        return Verdict(text=text)
    found, problem = _json_in(text, schema)
    return Verdict(text=found, reason="schema" if problem else None, problem=problem)


def _json_in(text: str, schema: JsonObject) -> tuple[str, str]:
    """The JSON of an answer, bare or fenced, and what is wrong with it ("" if nothing)."""
    fenced = _FENCED.search(text)
    found = fenced.group(1).strip() if fenced else text
    try:
        value = json.loads(found)
    except ValueError as error:
        return text, f"it is not JSON ({error})"
    return found, _problem(value, schema)


def _problem(value: object, schema: JsonObject) -> str:
    from jsonschema import validators  # type: ignore[import-untyped]  # noqa: PLC0415 - heavy, rare

    validator = validators.validator_for(schema)(schema)
    errors = sorted(validator.iter_errors(value), key=lambda e: list(map(str, e.absolute_path)))
    if not errors:
        return ""
    where = "/".join(str(step) for step in errors[0].absolute_path)
    return f"{errors[0].message[:300]}{f' (at {where})' if where else ''}"
