"""The JSON object in a model's answer, whatever it wrote around it."""

import json
from collections.abc import Iterator
from typing import cast

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import PlanError

_FENCE = "```json"


def find_object(text: str) -> JsonObject:
    """The object in a json fence; else from the first `{` to the last `}`; else the whole text.

    Raises:
        PlanError: none of these is a JSON object.
    """
    problem = "the answer holds no JSON object"
    for candidate in _candidates(text):
        try:
            found = json.loads(candidate)
        except json.JSONDecodeError as error:
            problem = f"the answer is not valid JSON: {error.msg} at line {error.lineno}"
            continue
        if isinstance(found, dict):
            return cast("JsonObject", found)
        problem = "the answer is JSON, and not an object"
    raise PlanError(problem)


def _candidates(text: str) -> Iterator[str]:
    start = text.find(_FENCE)
    if start >= 0:
        body = text[start + len(_FENCE) :]
        yield body.split("```", 1)[0].strip()
    first, last = text.find("{"), text.rfind("}")
    if first >= 0:
        # Also right for a fence whose strings hold fences themselves; an answer that was cut
        # short has no last `}`, and is told so.
        yield text[first : last + 1] if first < last else text[first:]
