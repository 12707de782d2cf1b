"""A new PRD for a repository: what is at its root, and a model that drafts the stories.

The model is one agent that can look and not change; it answers in the turns of one session, so
that what is wrong with its PRD is put right by the one who knows the repository by now.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from codetether_ray.bootstrap.follow import Show
from codetether_ray.bootstrap.ralph.prd_desk import gates_of
from codetether_ray.bootstrap.session.home import SessionResult
from codetether_ray.bootstrap.session.run import run_session
from codetether_ray.bootstrap.session.wish import SessionWish
from codetether_ray.core.errors import PrdError
from codetether_ray.core.messages import user
from codetether_ray.core.usage import Budget, Usage
from codetether_ray.ralph import drafting
from codetether_ray.ralph.prd_text import PrdText, write_prd


@dataclass(frozen=True, slots=True, kw_only=True)
class PrdWish:
    """What `codetether ralph create-prd` was asked for."""

    directory: Path
    project: str
    feature: str
    describe: str
    """What is wanted, in a person's words."""
    session: SessionWish
    """Model, budget, clocks of the drafting session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a model made of a wish; `text` is None where its turn did not end well."""

    text: PrdText | None
    result: SessionResult
    usage: Usage
    """Of all turns."""
    cost_usd: float | None


def template_prd(directory: Path, project: str, feature: str) -> PrdText:
    """A PRD of one story, with the gates that fit the directory.

    Raises:
        PrdError: project or feature is empty.
    """
    checks = gates_of(directory).checks
    return write_prd(drafting.template(project, feature, checks, _now()))


async def draft_prd(wish: PrdWish, show: Show, notice: Callable[[str], None]) -> Draft:
    """Let a model draft the PRD; one that is not sound is repaired, and refused in the end.

    Raises:
        PrdError: the last repair is not sound either.
        CodetetherError: nothing was asked.
    """
    checks = gates_of(wish.directory).checks
    template_prd(wish.directory, wish.project, wish.feature)  # refused now, not after the model
    model = _Model(wish.session, show, notice)
    message = drafting.request(wish.project, wish.feature, wish.describe, checks)
    for tries in range(1 + drafting.REPAIRS):
        draft = await model.ask(message)
        if not draft.result.turn.is_success:
            return draft
        answer = draft.result.turn.text
        try:
            text = drafting.drafted(answer, wish.project, wish.feature, checks, _now())
            return replace(draft, text=text)
        except PrdError as error:
            if tries == drafting.REPAIRS:
                where = f"the model's PRD, repaired {drafting.REPAIRS} times"
                raise PrdError(error.problems, where) from None
            notice(f"the model's PRD is not sound, it is asked to repair it: {error}")
            message = drafting.repair(error.problems)
    raise AssertionError("the last try returns or raises")


class _Model:
    """A session whose agent looks and does not change; counts what its turns used."""

    def __init__(self, wish: SessionWish, show: Show, notice: Callable[[str], None]) -> None:
        self._wish = replace(wish, agent="planner", output_schema=drafting.SCHEMA)
        self._budget, self._show, self._notice = wish.budget, show, notice
        self._usage = Usage()
        self._cost: float | None = 0.0

    async def ask(self, message: str) -> Draft:
        """One turn of it, within what is left of the budget."""
        wish = replace(self._wish, message=user(message), budget=self._left())
        result = await run_session(wish, self._show, self._notice)
        self._wish = replace(self._wish, session_id=result.session_id)
        self._usage += result.turn.usage
        cost = result.turn.cost_usd
        self._cost = None if cost is None or self._cost is None else self._cost + cost
        return Draft(text=None, result=result, usage=self._usage, cost_usd=self._cost)

    def _left(self) -> Budget:
        """What is left; never nothing, so that its end is told as for any turn."""
        tokens, usd = self._budget.tokens, self._budget.usd
        return replace(
            self._budget,
            tokens=None if tokens is None else max(tokens - self._usage.total_tokens, 1),
            usd=None if usd is None else max(usd - (self._cost or 0.0), 1e-9),
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
