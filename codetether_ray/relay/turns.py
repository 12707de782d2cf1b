"""One turn of a relay: baton, agent, commit, handoff, and the record that it is over."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from codetether_ray.core import failpoints
from codetether_ray.core.events import TurnBegun, TurnDone
from codetether_ray.core.messages import user
from codetether_ray.core.spec import TurnResult
from codetether_ray.ports.publisher import Publisher
from codetether_ray.ports.runtime import AgentRuntime
from codetether_ray.ports.workspace import Tree, Workspace
from codetether_ray.relay.baton import baton, digest, goes_on_after, payload
from codetether_ray.relay.crew import Crew
from codetether_ray.relay.handing import Handing
from codetether_ray.relay.memory import Memory
from codetether_ray.relay.options import RelayOptions
from codetether_ray.relay.schedule import Place
from codetether_ray.relay.trailers import turn_message

Announce = Callable[[str, str, str], Awaitable[None]]
"""Puts what a member hands over on the bus: sender, receiver, text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A turn ended in a way after which nobody takes over; it is taken up again by a resume."""

    member: str
    result: TurnResult


class Turns:
    """Gives members their turns in the relay's one tree."""

    def __init__(
        self,
        options: RelayOptions,
        runtime: AgentRuntime,
        workspace: Workspace,
        publisher: Publisher,
        announce: Announce | None,
    ) -> None:
        self._options = options
        self._runtime = runtime
        self._workspace = workspace
        self._publisher = publisher
        self._announce = announce
        self._crew = Crew(options)
        self._handing = Handing(options, self._crew, runtime)

    async def take(self, memory: Memory, place: Place, tree: Tree) -> TurnDone | Stopped:
        """Do one turn; what it came to is on record.

        What an earlier try did of it is not done again: the agent is answered from the journal,
        a tree without changes gives the commit that it has.

        Raises:
            CodetetherError: the agent could not run, or its work could not be committed.
        """
        text = baton(self._options.task, self._options.objective, memory, place)
        await self._begin(memory, place, text)
        profile = memory.by_name[place.member]
        spec = self._crew.member(profile, tree, len(memory.turns_of(place.member)))
        result = await self._runtime.run(spec, user(text))
        failpoints.hit("turn.answered")
        if not goes_on_after(result.outcome):
            return Stopped(member=place.member, result=result)
        return await self._finish(memory, place, tree, result)

    async def _begin(self, memory: Memory, place: Place, text: str) -> None:
        if memory.begun >= place.turn:
            return
        await self._publisher.record(
            TurnBegun(
                turn=place.turn,
                round=place.round,
                idx=place.idx,
                member=place.member,
                sender=place.sender,
                baton=digest(text),
            )
        )
        failpoints.hit("turn.begun")
        if self._announce is not None:
            await self._announce(place.sender, place.member, _said(memory, self._options))

    async def _finish(
        self, memory: Memory, place: Place, tree: Tree, result: TurnResult
    ) -> TurnDone:
        correlation = self._options.template.correlation
        message = turn_message(place.turn, place.member, result.text, correlation)
        made = await self._workspace.commit(tree, message)
        commit = made.tip or made.commit
        failpoints.hit("turn.committed")
        if commit != memory.commit:
            await self._workspace.advance(commit)
        failpoints.hit("turn.advanced")
        handoff = await self._handing.handoff(place.turn, result.text)
        specialist = await self._handing.specialist(memory, place.turn, result.text)
        done = TurnDone(
            turn=place.turn,
            round=place.round,
            idx=place.idx,
            member=place.member,
            result=result,
            handoff=handoff,
            commit=commit,
            tree=made.tree,
            specialist=None if specialist is None else specialist.to_json(),
        )
        await self._publisher.record(done)
        failpoints.hit("turn.recorded")
        return done


def _said(memory: Memory, options: RelayOptions) -> str:
    return payload(memory.turns[-1]) if memory.turns else options.task
