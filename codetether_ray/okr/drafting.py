"""From an intent to an OKR: one agent, and one round of repair.

Paths are deterministic, so that a journal finds them: `aide/okr-1`, `aide/okr-1-repair`,
`aide/okr-2` after the first draft was denied, and so on.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from codetether_ray.core.errors import DraftingFailedError, InvalidOkrError
from codetether_ray.core.messages import user
from codetether_ray.core.okrs import Okr
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.okr.draft_prompts import ROLE, SCHEMA, Denied, draft_request, repair_request
from codetether_ray.okr.rules import read_okr
from codetether_ray.okr.stamps import NewId
from codetether_ray.ports.runtime import AgentRuntime

__all__ = ["Denied", "Drafted", "draft_okr", "parse_draft"]

_FEWEST, _MOST = 2, 5
_UNUSABLE = frozenset({"InvalidAnswerError", "UnfinishedAnswerError"})
"""Error kinds of a turn that ended well but for its answer: asking again may help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """A draft, and the turns that made it (for who counts what they used)."""

    okr: Okr
    turns: tuple[TurnResult, ...]


async def draft_okr(
    intent: str,
    runtime: AgentRuntime,
    template: AgentSpec,
    *,
    new_id: NewId,
    now: Callable[[], str],
    tools: tuple[str, ...] = (),
    denied: Sequence[Denied] = (),
) -> Drafted:
    """The objective and 2 to 5 key results of an intent; `denied` are earlier drafts of it.

    `template` has what the run's agents share (its root is what the drafter looks at); `tools` are
    for reading.

    Raises:
        InvalidOkrError: the repaired draft is not sound either.
        DraftingFailedError: the drafter did not end well.
        CodetetherError: what the runtime raises.
    """
    number = len(denied) + 1
    request = draft_request(intent, denied)
    spec = _spec(template, f"aide/okr-{number}", tools)
    ids = _numbered(new_id, number)
    first = await runtime.run(spec, user(request))
    try:
        return Drafted(okr=parse_draft(_text(first), ids, now()), turns=(first,))
    except InvalidOkrError as error:
        problem = str(error)
    again = replace(spec, path=f"{spec.path}-repair")
    second = await runtime.run(again, user(repair_request(request, first.text, problem)))
    try:
        return Drafted(okr=parse_draft(_text(second), ids, now()), turns=(first, second))
    except InvalidOkrError as error:
        raise InvalidOkrError(
            "no key results that can be measured were drafted, not even when asked again",
            f"{error}; say the intent more precisely, try another model, or write them with "
            "`codetether okr create`",
        ) from None


def parse_draft(text: str, new_id: NewId, now: str) -> Okr:
    """The OKR in a model's answer.

    Raises:
        InvalidOkrError: there is none, or it is not sound.
    """
    okr = read_okr(_find_object(text), new_id, now)
    count = len(okr.key_results)
    if not _FEWEST <= count <= _MOST:
        raise InvalidOkrError(
            "$.key_results", f"there are {count}; {_FEWEST} to {_MOST} are wanted"
        )
    return okr


def _text(turn: TurnResult) -> str:
    if turn.is_success or (turn.error_kind in _UNUSABLE and turn.text.strip()):
        return turn.text
    raise DraftingFailedError(turn.outcome, turn.error, turn.error_kind)


def _find_object(text: str) -> dict[str, Any]:
    """The outermost object in an answer, whatever stands around it."""
    first, last = text.find("{"), text.rfind("}")
    try:
        found = json.loads(text[first : last + 1])
    except ValueError as error:
        raise InvalidOkrError("the answer", f"it is no JSON object: {error}") from None
    if not isinstance(found, dict):
        raise InvalidOkrError("the answer", "it is no JSON object")
    return cast("dict[str, Any]", found)


def _numbered(new_id: NewId, number: int) -> NewId:
    return lambda words: new_id(f"{number}/{words}")


def _spec(template: AgentSpec, path: str, tools: tuple[str, ...]) -> AgentSpec:
    extra = f"\n{template.instructions}" if template.instructions else ""
    return replace(
        template,
        path=path,
        kind="aide",
        name="okr drafter",
        instructions=f"{ROLE}{extra}",
        tools=tools,
        depth=1,
        output_schema=SCHEMA,
    )
