"""The control plane of one ingress: what its routes and RPCs ask, in the caller's name."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from codetether_ray.bootstrap.control import bundles, making, okrs, owned
from codetether_ray.bootstrap.control.bundles import Bundle
from codetether_ray.bootstrap.control.desk import Desk
from codetether_ray.bootstrap.control.following import follow
from codetether_ray.bootstrap.control.okrs import WorkOrder
from codetether_ray.bootstrap.control.orders import Leave, PrdOrder, SwarmOrder
from codetether_ray.bootstrap.top_source import TopSource
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.okrs import Okr, OkrRun
from codetether_ray.ingress.callers import caller
from codetether_ray.ingress.parts import Parts
from codetether_ray.policy.rules import EVERYBODYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run that was started: its id, and what its starter should read."""

    run_id: str
    notes: tuple[str, ...] = ()


class Control:
    """Everything that REST and gRPC offer alike. The caller is who `callers.caller` names."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._desk = Desk(parts.reach)
        self._top = TopSource(parts.reach.truth.data_dir, parts.reach)

    @property
    def truth(self) -> Truth:
        """Where everything is recorded."""
        return self._parts.reach.truth

    async def owner(self) -> str | None:
        """Whose things the caller finds; see `bootstrap.control.owned`."""
        who = caller()
        if not await self._parts.gate.may(who, EVERYBODYS):
            return who.owner
        return f"{who.tenant_id}/*" if who.tenant_id else None

    async def permit(self, permission: str) -> None:
        """Return if the caller has a permission.

        Raises:
            ForbiddenError: it has not.
        """
        await self._parts.gate.permit(caller(), permission)

    async def ask(self, function: str, *arguments: Any) -> Any:
        """See `Truth.ask`."""
        return await self.truth.ask(function, *arguments)

    async def close(self) -> None:
        """End the runs that live in this process."""
        await self._desk.close()

    # -- runs

    async def submit_swarm(self, order: SwarmOrder) -> Started:
        """Start a swarm.

        Raises:
            CodetetherError: it could not begin.
        """
        return await self._start(making.SWARM, order)

    async def submit_prd(self, order: PrdOrder) -> Started:
        """Start the work on a PRD.

        Raises:
            CodetetherError: it could not begin.
        """
        return await self._start(making.PRD, order)

    async def _start(self, maker: str, order: Any) -> Started:
        request, said = await self.ask(maker, order, await self._leave())
        notes = list(said)
        run_id = await self._desk.start(request, notes.append)
        return Started(run_id=run_id, notes=tuple(notes))

    async def cancel(self, run_id: str) -> bool:
        """Tell a run to end; False where it was not under way.

        Raises:
            UnknownRunError: the caller has no such run.
        """
        return await self._desk.cancel(run_id, await self.owner(), caller().owner)

    async def check(self, run_id: str) -> None:
        """Return if the caller has such a run.

        Raises:
            UnknownRunError: it has not.
        """
        await self.ask(owned.CHECK, run_id, await self.owner())

    async def follow(
        self, run_id: str, after: int = -1, *, goes_on: bool = True
    ) -> AsyncIterator[JsonObject]:
        """See `bootstrap.control.following.follow`."""
        owner = await self.owner()
        async for record in follow(self.truth, run_id, owner, after=after, goes_on=goes_on):
            yield record

    async def top(self) -> JsonObject:
        """What is under way of the caller's, and the nodes."""
        owner = await self.owner()
        if owner is None:
            return await self._top.look()
        seen = await self.ask(owned.LOOK, owner)
        nodes: JsonValue = list(await self._top.nodes())
        return {"source": self._parts.reach.source, **seen, "nodes": nodes}

    # -- bundles

    async def upload(self, pieces: AsyncIterator[bytes]) -> Bundle:
        """Keep a bundle for the caller's orders.

        Raises:
            UsageError: it is none, or too large.
        """
        return await bundles.upload(self.truth, caller().owner, pieces)

    async def pack(self, run_id: str, since: str = "") -> Bundle:
        """Make a run's branches a bundle, to be read by `pieces`.

        Raises:
            UnknownRunError: the caller has no such run.
            UsageError: it has no branches.
        """
        found: Bundle = await self.ask(bundles.PACK, run_id, await self.owner(), since)
        return found

    def pieces(self, bundle: Bundle) -> AsyncIterator[bytes]:
        """The bytes of what `pack` made."""
        return bundles.pieces(self.truth, bundle)

    # -- OKRs

    async def create_okr(self, draft: JsonObject, order: WorkOrder | None) -> tuple[Okr, OkrRun]:
        """Store an OKR of the caller's, with a run that waits for approval.

        Raises:
            InvalidOkrError: it is not sound.
        """
        okr, run = await self.ask(okrs.CREATE, draft, caller(), order)
        return okr, run

    async def decide(
        self, id: str, decision: str, reason: str, seen: int | None
    ) -> tuple[Okr, OkrRun]:
        """Approve or deny, in the caller's name.

        Raises:
            OkrTransitionError: somebody decided before.
        """
        owner = await self.owner()
        okr, run = await self.ask(okrs.DECIDE, id, decision, reason, caller().owner, owner, seen)
        return okr, run

    async def start_approved(self, run: OkrRun) -> Started | None:
        """Start what was ordered for a run that is approved now; None: nothing was.

        Raises:
            CodetetherError: it could not be started; the approval counts all the same.
        """
        found = await okrs.start_if_ordered(self.truth, self._desk, run, await self._leave())
        return None if found[0] is None else Started(run_id=found[0], notes=found[1])

    async def resume_okr(self, id: str, order: WorkOrder | None) -> Started:
        """Start an approved run, or have it go on.

        Raises:
            NotApprovedError: nobody has approved it.
            CodetetherError: it could not be started.
        """
        leave, owner = await self._leave(), await self.owner()
        run_id, notes = await okrs.start(self.truth, self._desk, id, leave, owner, order)
        return Started(run_id=run_id, notes=notes)

    async def cancel_okr(self, id: str) -> tuple[Okr, OkrRun, bool]:
        """Give a run up for good; whether its relay was told to stop.

        Raises:
            OkrTransitionError: it is over.
        """
        owner = await self.owner()
        okr, run, was_running = await self.ask(okrs.CANCEL, id, caller().owner, owner)
        if run.relay_id and not was_running:
            was_running = self._desk.cancel_here(run.relay_id)
        return okr, run, was_running

    async def _leave(self) -> Leave:
        given = self._parts.options.directory
        directory = os.path.abspath(given) if given else ""  # noqa: PTH100 - as it is on the head
        return Leave(
            owner=caller().owner,
            roots=(directory,) if directory else (),
            is_everywhere=await self.owner() is None,
            default=directory,
            model=self._parts.options.model,
        )


def control_of(parts: Parts) -> Control:
    """An ingress' control plane, made when it is first asked; it closes with the ingress."""
    if parts.control is None:
        parts.control = Control(parts)
        parts.closing.append(parts.control.close)
    found: Control = parts.control
    return found
