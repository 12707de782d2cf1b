"""Takes orders: starts runs that go on when whoever ordered them is gone, and ends them.

On a cluster a run lives in a supervisor there (`remote.submitting`). Without one it is a task of
this process; it ends with that, and can be resumed.
"""

import asyncio
import importlib
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from codetether_ray.bootstrap.agents import kept_process
from codetether_ray.bootstrap.control.owned import CANCEL, CHECK
from codetether_ray.bootstrap.follow import Audience
from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.bootstrap.running import Doing, in_this_process
from codetether_ray.bootstrap.truth import runs
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import ClusterError
from codetether_ray.core.ids import RunKind

_DOINGS: Mapping[RunKind, str] = MappingProxyType(
    {kind: f"codetether_ray.bootstrap.{kind}.run" for kind in ("swarm", "ralph", "relay")}
)
_LOG = logging.getLogger(__name__)
_LOOK_S = 0.05
_PATIENCE_S = 120.0
"""For a run to begin in this process."""


class Desk:
    """The runs that one ingress started in its own process, and the way to the others."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._here: dict[str, asyncio.Task[JsonObject]] = {}

    async def start(self, request: RunRequest, notice: Callable[[str], None]) -> str:
        """Start a run whose source is on the head; its id, as soon as it is on record.

        Raises:
            CodetetherError: it could not begin.
        """
        if request.resumed:
            await self._reach.truth.ask(runs.REFUSE_BUSY, request.run_id)
        if self._reach.cluster is None:
            await self._start_here(request)
        else:
            from codetether_ray.bootstrap.remote.submitting import submit

            supervised = _doing(request.kind).supervised
            await submit(request, supervised, self._reach, notice, is_there=True)
        return request.run_id

    async def cancel(self, run_id: str, owner: str | None, principal: str) -> bool:
        """Tell a run to end as Ctrl-C would; False where it was not under way.

        Raises:
            UnknownRunError: the owner has no such run.
        """
        await self._reach.truth.ask(CHECK, run_id, owner)
        if self.cancel_here(run_id):
            return True
        return bool(await self._reach.truth.ask(CANCEL, run_id, owner, principal))

    def cancel_here(self, run_id: str) -> bool:
        """The same of a run that lives in this process; False where it does not."""
        task = self._here.get(run_id)
        return task is not None and task.cancel()

    async def close(self) -> None:
        """End what lives in this process; it can be resumed."""
        tasks = tuple(self._here.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _start_here(self, request: RunRequest) -> None:
        truth, run_id = self._reach.truth, request.run_id
        known = await truth.ask(runs.RECORDS, run_id) if request.resumed else 0
        task = asyncio.create_task(_done(request))
        self._here[run_id] = task
        task.add_done_callback(lambda done: self._gone(run_id, done))
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not task.done() and not await truth.ask(runs.HAS_BEGUN, run_id, known):
                    await asyncio.wait({task}, timeout=_LOOK_S)
        except TimeoutError:
            task.cancel()
            raise ClusterError(f"{run_id} did not begin within {_PATIENCE_S:.0f} s") from None
        if task.done():
            await task  # it could not even begin, or ended at once: why is raised

    def _gone(self, run_id: str, task: "asyncio.Task[JsonObject]") -> None:
        self._here.pop(run_id, None)
        if not task.cancelled() and task.exception() is not None:
            _LOG.warning("%s ended: %s", run_id, task.exception())


async def _done(request: RunRequest) -> JsonObject:
    """Do a run to its result; nobody is there to be asked."""
    audience = Audience(show=_unseen, ask=_nobody, notice=_unseen)
    async with kept_process():
        return await in_this_process(_doing(request.kind), request, audience)


def _doing(kind: RunKind) -> Doing[Any]:
    found: Doing[Any] = importlib.import_module(_DOINGS[kind]).DOING
    return found


async def _nobody(question: Any) -> bool:
    del question
    return False


def _unseen(_: Any) -> None:
    """Whoever wants to see a run reads its journal."""
