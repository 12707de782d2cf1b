"""Makes an order into the request of a run, on the head: with its settings, its models, its keys.

Each function is called on the truth and gives the request, in the name of who ordered, with the
sentences that its maker should read.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from codetether_ray.bootstrap.control.orders import Leave, Limits, PrdOrder, RelayOrder, SwarmOrder
from codetether_ray.bootstrap.control.sources import folder_of, laid_out
from codetether_ray.bootstrap.ralph.request import RalphRequest
from codetether_ray.bootstrap.relay.request import RelayRequest
from codetether_ray.bootstrap.swarm.request import ASK_ABOVE, SwarmRequest
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.core.errors import UsageError
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.usage import Budget

SWARM, PRD, RELAY = f"{__name__}:swarm", f"{__name__}:prd", f"{__name__}:relay"

Notes = tuple[str, ...]


class _Common(TypedDict):
    directory: Path
    model: str | None
    max_steps: int | None
    timeout_s: float | None
    budget: Budget


async def swarm(home: Home, order: SwarmOrder, leave: Leave) -> tuple[SwarmRequest, Notes]:
    """The request of a swarm.

    Raises:
        UsageError: the task is empty, or there is nothing to work on.
        CodetetherError: there is no such model, no key for it, the source cannot be cloned, ….
    """
    from codetether_ray.bootstrap.swarm.run import SwarmWish, swarm_request

    if not order.task.strip():
        raise UsageError("nothing was asked: the task is empty")
    run_id, notes = new_run_id("swarm"), _Notes()
    directory = await laid_out(home, run_id, order.source, leave)
    wish = SwarmWish(
        **_common(order.limits, directory, leave),
        task=order.task,
        strategy=order.strategy,
        max_subagents=order.max_subagents,
        max_depth=order.max_depth,
        parallel=order.limits.parallel,
        ask_above=None if order.approved else ASK_ABOVE,
    )
    settings = _settings(home, directory)
    made = await swarm_request(wish, settings, truth_here(home.data_dir), notes.append)
    assert isinstance(made, SwarmRequest)
    return replace(made, swarm_id=run_id, principal=leave.owner), notes.all


async def prd(home: Home, order: PrdOrder, leave: Leave) -> tuple[RalphRequest, Notes]:
    """The request of a Ralph run.

    Raises:
        PrdError, PrdFileError: the PRD cannot be worked on.
        CodetetherError: see `swarm`.
    """
    from codetether_ray.bootstrap.ralph.run import RalphRunWish, looked_at, new_ralph

    run_id, notes = new_run_id("ralph"), _Notes()
    directory = await laid_out(home, run_id, order.source, leave)
    path = _prd_file(home, run_id, order, directory)
    wish = RalphRunWish(
        **_common(order.limits, directory, leave),
        prd=path,
        max_iterations=order.max_iterations,
        gate_timeout_s=order.gate_timeout_s,
        parallel=order.limits.parallel,
    )
    settings = _settings(home, directory)
    model = await looked_at(wish, settings, notes.append)
    made = new_ralph(wish, settings, model, home.data_dir)
    return (
        replace(made, ralph_id=run_id, directory=str(directory), principal=leave.owner),
        notes.all,
    )


async def relay(home: Home, order: RelayOrder, leave: Leave) -> tuple[RelayRequest, Notes]:
    """The request of a relay for a run of an OKR, or of one that goes on.

    Raises:
        CodetetherError: see `swarm`; or there is nothing to go on with.
    """
    from codetether_ray.bootstrap.relay.run import RelayWish, relay_request
    from codetether_ray.relay.profiles import DEFAULT_COUNT

    run_id, notes = order.resumes or new_run_id("relay"), _Notes()
    if order.resumes:
        directory = Path.cwd()  # the relay knows its own
    else:
        directory = await laid_out(home, run_id, order.source, leave)
    wish = RelayWish(
        **_common(order.limits, directory, leave),
        task=order.task,
        okr_run_id=order.okr_run_id,
        resume=order.resumes or None,
        count=order.count or DEFAULT_COUNT,
        rounds=order.rounds,
    )
    settings = _settings(home, directory)
    made = await relay_request(wish, settings, truth_here(home.data_dir), notes.append)
    if not isinstance(made, RelayRequest):
        raise UsageError(f"{order.resumes} is over: {made.get('outcome')}")
    return replace(made, relay_id=run_id, principal=leave.owner), notes.all


class _Notes:
    """Sentences, in order."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self.append: Callable[[str], None] = self._found.append

    @property
    def all(self) -> Notes:
        return tuple(self._found)


def _common(limits: Limits, directory: Path, leave: Leave) -> _Common:
    if (limits.model or "").startswith("tape/"):
        raise UsageError("a tape is a file of the head's, and is played there alone")
    return _Common(
        directory=directory,
        model=limits.model or leave.model or None,
        max_steps=limits.max_steps,
        timeout_s=limits.timeout_s,
        budget=Budget(tokens=limits.max_tokens, usd=limits.budget_usd),
    )


def _settings(home: Home, directory: Path) -> Settings:
    settings = load_settings(directory, os.environ)
    return replace(settings, paths=replace(settings.paths, data=home.data_dir))


def _prd_file(home: Home, run_id: str, order: PrdOrder, directory: Path) -> Path:
    """The PRD's file: what was sent, outside the repository, or one that is in it.

    Raises:
        UsageError: the path leads out of the repository, or nothing is there.
    """
    if order.prd:
        folder = folder_of(home, run_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "prd.json"
        path.write_text(_indented(order.prd), encoding="utf-8")
        return path
    path = (directory / order.path.replace("\0", "")).resolve()
    if not path.is_relative_to(directory.resolve()) or not path.is_file():
        raise UsageError(f"the repository has no file {order.path!r}; send the PRD with the order")
    return path


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    except ValueError:
        return text  # reading it says what is wrong, and where
