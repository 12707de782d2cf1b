"""What a child run is asked for: from its parent's terms, or as its own journal holds it."""

import asyncio
import os
from dataclasses import dataclass, replace
from pathlib import Path

from codetether_ray.bootstrap.models import ChosenModel
from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import UnknownRunError
from codetether_ray.core.events import RunFinished, RunStarted
from codetether_ray.core.ids import derived_run_id
from codetether_ray.core.spec import AgentSpec
from codetether_ray.core.usage import Budget
from codetether_ray.journal.reader import read_records
from codetether_ray.ports.child_runs import ChildKind, ChildWish, RalphWish, SwarmWish
from codetether_ray.providers import catalog
from codetether_ray.providers.registry import parse_model
from codetether_ray.tools.paths import place

_CUT = frozenset({"cancelled", "interrupted"})
"""Ends of a child that was cut off with its parent: it goes on where the same call is made."""


def kind(wish: ChildWish) -> ChildKind:
    """What kind of run a wish is for; also the name of the tool that makes it."""
    return "swarm" if isinstance(wish, SwarmWish) else "ralph"


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """The run that a call of an agent means."""

    run_id: str
    kind: ChildKind
    parent: AgentSpec
    call_id: str
    wish: ChildWish

    @classmethod
    def of(cls, parent: AgentSpec, call_id: str, wish: ChildWish, number: int) -> "Child":
        """`number`: which of the agent's calls of that tool it is, since ids may be repeated."""
        named = (parent.path, f"{kind(wish)}-{number}")
        run_id = derived_run_id(kind(wish), parent.correlation.run_id, *named)
        return cls(run_id=run_id, kind=kind(wish), parent=parent, call_id=call_id, wish=wish)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a child's own journal holds."""

    command: JsonObject | None = None
    """What was asked, by its latest try; None: it has not begun."""
    result: JsonObject | None = None
    """Its last word, where it has come to an end that is one."""


def recorded(data_dir: Path, child: Child) -> Recorded:
    """Read it.

    Raises:
        JournalError: it cannot be read.
    """
    kinds = {RunStarted.tag, RunFinished.tag}
    found = Recorded()
    try:
        for record in read_records(data_dir, child.run_id, kinds=kinds, fetch=archived()):
            if isinstance(record.event, RunStarted):
                found = Recorded(command=record.event.command)
            elif isinstance(record.event, RunFinished) and record.event.outcome not in _CUT:
                result: JsonObject = {"outcome": record.event.outcome, **record.event.summary}
                found = replace(found, result=result)
    except UnknownRunError:
        return Recorded()
    return found


async def request(child: Child, known: Recorded, budget: Budget, data_dir: Path) -> RunRequest:
    """The request of a child that begins, or goes on; its model is its parent's now.

    Raises:
        CodetetherError: the settings of its directory are wrong, the PRD cannot be read, ….
    """
    parent = child.parent
    if known.command is not None:
        old = request_class(child.kind).from_json(known.command)
        made = replace(old, resumed=True, budget=replace(budget, agents=old.budget.agents))
    else:
        settings = await asyncio.to_thread(load_settings, Path(parent.root), os.environ)
        made = await asyncio.to_thread(_new, child, settings, budget, data_dir)
    return replace(
        made,
        model=parent.model,
        base_url=parent.base_url,
        context_window=parent.context_window,
        data_dir=str(data_dir),
        principal=parent.principal,
        within=parent.correlation,
        deliver=True,
    )


def request_class(kind: ChildKind) -> type[RunRequest]:
    """The class of a kind's requests."""
    if kind == "swarm":
        from codetether_ray.bootstrap.swarm.request import SwarmRequest

        return SwarmRequest
    from codetether_ray.bootstrap.ralph.request import RalphRequest

    return RalphRequest


def _new(child: Child, settings: Settings, budget: Budget, data_dir: Path) -> RunRequest:
    if isinstance(child.wish, SwarmWish):
        return _new_swarm(child, child.wish, settings, budget, data_dir)
    return _new_ralph(child, child.wish, settings, budget, data_dir)


def _new_ralph(
    child: Child, wish: RalphWish, settings: Settings, budget: Budget, data_dir: Path
) -> RunRequest:
    """Ralph on a PRD in its parent's directory; nobody is asked, so no criterion is amended."""
    from codetether_ray.bootstrap.ralph.run import RalphRunWish, new_ralph

    parent = child.parent
    root = Path(parent.root)
    asked = RalphRunWish(
        prd=place(root, wish.prd).path,
        directory=root,
        max_iterations=wish.max_iterations,
        retry_for_s=parent.retry_for_s,
        wait_quota_s=parent.wait_quota_s,
        budget=budget,
    )
    made = new_ralph(asked, settings, _model(parent), data_dir)
    return replace(made, ralph_id=child.run_id)


def _new_swarm(
    child: Child, wish: SwarmWish, settings: Settings, budget: Budget, data_dir: Path
) -> RunRequest:
    """A swarm in its parent's directory; nobody is asked, so its plan may not be large."""
    from codetether_ray.bootstrap.swarm.request import ASK_ABOVE
    from codetether_ray.bootstrap.swarm.run import SwarmWish as Asked
    from codetether_ray.bootstrap.swarm.run import new_swarm

    parent = child.parent
    most = wish.max_subagents or settings.swarm.max_subagents
    asked = Asked(
        task=wish.task,
        directory=Path(parent.root),
        max_subagents=min(most, ASK_ABOVE),
        max_depth=parent.max_depth - parent.depth,
        memory_bytes=parent.memory_bytes,
        retry_for_s=parent.retry_for_s,
        wait_quota_s=parent.wait_quota_s,
        budget=budget,
        ask_above=None,
    )
    made = new_swarm(asked, settings, _model(parent), data_dir)
    return replace(made, swarm_id=child.run_id)


def _model(parent: AgentSpec) -> ChosenModel:
    ref = parse_model(parent.model)
    known = catalog.find(ref.provider, ref.model)
    return ChosenModel(ref=ref, price=known.price if known else None)
