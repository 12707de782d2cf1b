"""Runs agents over a host: queue, permits, limits of the tree, restarts, children, quotas.

The same class serves one process (over `LocalHost`) and a cluster (over the Ray host).
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

from codetether_ray.core.errors import (
    AgentLostError,
    BudgetSpentError,
    ClusterError,
    CodetetherError,
    MemoryExceededError,
    NodeLostError,
    ParentsConflictError,
    TreeLimitError,
    WorkspaceError,
)
from codetether_ray.core.events import AgentPlaced, AgentRestarted, Queued, Warned
from codetether_ray.core.ids import child_path
from codetether_ray.core.messages import Message, user
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.local.family import child_spec, ordinal
from codetether_ray.local.hosted import Hosted, cancelled, with_children
from codetether_ray.local.overdue import guarded_turn
from codetether_ray.local.presence import Presence
from codetether_ray.local.spending import Spending
from codetether_ray.local.unfit import UnfitNodes
from codetether_ray.ports.admission import Admission, Permit, Rank
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.directory import Directory
from codetether_ray.ports.host import AgentHost, AgentProcess
from codetether_ray.ports.ledger import Ledger
from codetether_ray.ports.publisher import Publisher
from codetether_ray.ports.runtime import AgentStatus, Prepare

_LONGEST_PAUSE_S = 30.0  # between restarts of one agent
_MOST_UNFIT = 3  # nodes that may fail to make one agent's tree: a fourth would, too
_UNKNOWN_RESET_S = 300.0  # until a quota is tried again whose reset nobody told


class _UnfitError(NodeLostError):
    """An agent leaves a node before it has lived there."""


class HostedRuntime:
    """Implements `AgentRuntime` and `ChildRuntime` over an `AgentHost`.

    Keeps true: an agent lives only while it holds a permit or has lent it to its children; a run
    starts no more agents than its budget allows, and none once the budget is spent; a turn's
    usage and cost include those of its children.
    """

    def __init__(
        self,
        host: AgentHost,
        admission: Admission,
        ledger: Ledger,
        publisher_for: Callable[[AgentSpec], Publisher],
        clock: Clock,
        *,
        directory: Directory | None = None,
        max_restarts: int = 3,
        home: str = "",
    ) -> None:
        """`home`: id of the node that this is on, where there are several.

        Agents that need the run's own files live there: all but sub-agents.
        """
        self._host = host
        self._admission = admission
        self._ledger = ledger
        self._spending = Spending(ledger)
        self._publisher_for = publisher_for
        self._clock = clock
        self._presence = Presence(directory, clock)
        self._max_restarts = max_restarts
        self._home = home
        self._unfit = UnfitNodes(clock)
        self._used: dict[str, None] = {}
        self._agents: dict[str, Hosted] = {}
        self._works: dict[str, asyncio.Task[TurnResult]] = {}

    # -- AgentRuntime -----------------------------------------------------------------------------

    async def run(
        self,
        spec: AgentSpec,
        message: Message,
        *,
        prepare: Prepare | None = None,
        priority: int = 0,
    ) -> TurnResult:
        """Wait for a permit, start the agent, give it one turn, end it; see the port."""
        return await self._run(spec, message, Rank.NEW, prepare, priority)

    async def cancel(self, path: str) -> bool:
        """Cancel an agent's turn and its children's; False if there is no such agent."""
        found = [p for p in self._agents if p == path or p.startswith(f"{path}/")]
        for each in found:
            await self._cancel(each)
        return bool(found)

    async def leave(self, nodes: Collection[str]) -> None:
        """Have agents leave nodes that are about to go, each after its present step.

        Those that can live nowhere else (children, and who needs the run's files) stay.
        """
        for agent in tuple(self._agents.values()):
            permit, process = agent.permit, agent.process
            if permit is None or process is None or agent.only_node is not None:
                continue
            if permit.node in nodes:
                await process.leave()

    async def list(self) -> tuple[AgentStatus, ...]:
        """Agents that wait or run, by path."""
        return tuple(agent.status() for _, agent in sorted(self._agents.items()))

    async def close(self) -> None:
        """Cancel and end every agent."""
        works = set(self._works.values())
        for work in works:
            work.cancel()
        if works:
            await asyncio.wait(works)
        await self._host.close()
        await self._admission.close()

    # -- ChildRuntime -----------------------------------------------------------------------------

    async def run_child(
        self, parent: AgentSpec, call_id: str, description: str, prompt: str
    ) -> TurnResult:
        """Run a child of `parent` to its end, on a permit of its own; the parent's is lent.

        What stops the child is told as a result with an `error_kind`; only a limit of the tree
        is raised.

        Raises:
            TreeLimitError: the tree may not grow deeper or larger.
        """
        if parent.depth >= parent.max_depth:
            raise TreeLimitError("depth", parent.max_depth)
        history = await self._publisher_for(parent).history()
        path = child_path(parent.path, ordinal(history, call_id))
        spec = child_spec(parent, path, description)
        return await self.lending(parent.path, path, lambda: self._child(spec, prompt))

    async def lending(
        self, parent: str, child: str, begin: Callable[[], Awaitable[TurnResult]]
    ) -> TurnResult:
        """What `begin` comes to, begun once for each name `child`; the parent's permit is lent.

        It is cancelled when the parent's turn is over; its usage is counted with the parent's.
        """
        agent = self._agents.get(parent)
        if agent is None or agent.permit is None:
            return await begin()
        with agent.loan.running(self._clock):
            async with agent.permit.lent():
                return await agent.family.join(child, begin)

    async def _child(self, spec: AgentSpec, prompt: str) -> TurnResult:
        try:
            return await self._run(spec, user(prompt), Rank.CHILD, None, 0)
        except BudgetSpentError as spent:
            if spent.what == "agents":
                raise TreeLimitError("agents", int(spent.limit)) from spent
            return TurnResult(outcome="budget", error=str(spent), error_kind="BudgetSpentError")
        except CodetetherError as error:
            return TurnResult(outcome="failed", error=str(error), error_kind=type(error).__name__)

    # -- one agent --------------------------------------------------------------------------------

    async def _run(
        self,
        spec: AgentSpec,
        message: Message,
        rank: Rank,
        prepare: Prepare | None,
        priority: int,
    ) -> TurnResult:
        if spec.path in self._agents:
            raise ValueError(f"agent {spec.path} is already there")
        publisher = self._publisher_for(spec)
        agent = Hosted(
            spec, message, rank, priority, prepare, publisher, self._only_node(spec, rank)
        )
        self._agents[spec.path] = agent
        work = asyncio.create_task(self._work(agent))
        self._works[spec.path] = work
        try:
            result = await work
        except asyncio.CancelledError:
            if agent.is_cancelled and not _is_cancelling():
                return cancelled(agent.parked)
            raise
        finally:
            del self._agents[spec.path], self._works[spec.path]
        if _is_cancelling():
            raise asyncio.CancelledError
        return result

    async def _cancel(self, path: str) -> None:
        agent = self._agents.get(path)
        if agent is None:  # it ended while others were cancelled
            return
        agent.is_cancelled = True
        if agent.process is None:
            self._works[path].cancel()
        else:
            await agent.process.cancel()

    async def _work(self, agent: Hosted) -> TurnResult:
        """Turns until one ends with something else than waiting for a quota."""
        waited_s = 0.0
        while True:
            result = await self._admitted(agent)
            if result.outcome != "waiting" or agent.is_cancelled:
                return result
            pause_s = self._until_reset(result)
            waited_s += pause_s
            if waited_s > agent.spec.wait_quota_s:
                return result
            agent.parked = result
            agent.state, agent.reason = "waiting", f"a quota; goes on in {pause_s:.0f} s"
            agent.publisher.emit(
                Queued(reason="the provider's quota; it goes on by itself", next_in_s=pause_s)
            )
            await self._clock.sleep(pause_s)

    def _until_reset(self, result: TurnResult) -> float:
        if result.resumes_at is None:
            return _UNKNOWN_RESET_S
        return max(result.resumes_at - self._clock.now(), 1.0)

    def _only_node(self, spec: AgentSpec, rank: Rank) -> str | None:
        """The one node that an agent can live on: its parent's, the run's; None: any."""
        if spec.node:
            return spec.node
        return self._home if rank is Rank.CHILD or spec.kind != "subagent" else None

    async def _admitted(self, agent: Hosted) -> TurnResult:
        """One turn, on one permit after another until a node keeps the agent."""
        agent.attempts = agent.deaths = 0
        try:
            while (result := await self._on_permit(agent)) is None:
                continue
            return with_children(result, agent.family.results())
        finally:
            await agent.family.close()

    async def _on_permit(self, agent: Hosted) -> TurnResult | None:
        """One turn on one permit; None if the agent has to go on elsewhere."""
        agent.state = "queued"
        await self._spending.refuse_spent(agent.spec.path)
        permit = agent.permit = await self._admission.acquire(
            agent.moves.need(agent.spec, agent.only_node, tuple(self._used)),
            rank=Rank.MOVING if agent.moves.count else agent.rank,
            priority=agent.priority,
            on_wait=lambda reason: self._tell_wait(agent, reason),
        )
        agent.admitted_s = self._clock.monotonic()
        try:
            await self._enter(agent, permit)
            return await self._lives(agent)
        except (NodeLostError, MemoryExceededError) as lost:
            if agent.is_cancelled:
                return cancelled()
            agent.moves.note(lost, permit, agent.spec.memory_bytes)
            if not isinstance(lost, _UnfitError):
                await self._note_restart(agent, lost)
            await agent.family.leave()
            return None
        finally:
            permit.release()
            agent.permit = None
            await self._presence.leave(agent.spec)

    def _tell_wait(self, agent: Hosted, reason: str) -> None:
        agent.reason = reason
        agent.publisher.emit(Queued(reason=reason))

    async def _enter(self, agent: Hosted, permit: Permit) -> None:
        await self._spending.refuse_spent(
            agent.spec.path
        )  # it may have been spent while this one waited
        self._spending.start(agent.spec.path)
        agent.state, agent.reason = "starting", ""
        agent.started_at = self._clock.now()
        node = "" if permit.node == self._home else permit.node
        memory_bytes = agent.moves.memory_bytes or agent.spec.memory_bytes
        may_grow = agent.moves.grown(memory_bytes, permit) > memory_bytes
        agent.spec = replace(agent.spec, node=node, memory_bytes=memory_bytes, may_grow=may_grow)
        if agent.prepare is not None and agent.moves.tree_on != permit.node:
            if self._unfit.has(permit.node) and self._may_leave(agent, permit.node):
                raise _UnfitError(agent.spec.path, "its trees cannot be made", permit.node)
            agent.spec = await self._prepared(agent, agent.prepare, permit.node)
            agent.moves.tree_on = permit.node
            self._used[permit.node] = None
        await self._presence.enter(agent.spec)

    async def _prepared(self, agent: Hosted, prepare: Prepare, node: str) -> AgentSpec:
        """Its spec with what it needs, on a node; a node that cannot give that is left once.

        Raises:
            NodeLostError: the node is gone, or is to be left.
            CodetetherError: what `prepare` raised.
        """
        try:
            return await prepare(agent.spec)
        except ParentsConflictError:
            raise
        except (ClusterError, WorkspaceError) as error:
            if not agent.spec.node or not self._may_leave(agent, node):
                raise
            if self._unfit.note(node):
                agent.publisher.emit(Warned(text=f"{error}; agents of this run go to other nodes"))
            raise _UnfitError(agent.spec.path, str(error), node) from error

    def _may_leave(self, agent: Hosted, node: str) -> bool:
        """Whether an agent can live elsewhere, and should be tried there: not for ever."""
        left = agent.moves.avoid
        return agent.only_node is None and node not in left and len(left) < _MOST_UNFIT

    async def _lives(self, agent: Hosted) -> TurnResult:
        """Start it, and start it again where its process dies."""
        while True:
            try:
                return await self._one_life(agent)
            except AgentLostError as lost:
                await self._ledger.release(agent.spec.path)
                if isinstance(lost, NodeLostError | MemoryExceededError):
                    raise
                if agent.is_cancelled:
                    return cancelled()
                agent.deaths += 1
                if agent.deaths > self._max_restarts:
                    raise
                await self._note_restart(agent, lost)
                await self._pause(agent.deaths - 1)

    async def _note_restart(self, agent: Hosted, lost: AgentLostError) -> None:
        again = AgentRestarted(attempt=agent.attempts, reason=lost.reason)
        await agent.publisher.record(again)

    async def _pause(self, attempt: int) -> None:
        """The first restart is at once; later ones wait longer and longer."""
        if attempt:
            await self._clock.sleep(min(2.0**attempt, _LONGEST_PAUSE_S))

    async def _one_life(self, agent: Hosted) -> TurnResult:
        agent.state, attempt = "starting", agent.attempts
        agent.attempts += 1
        process = await self._host.start(agent.spec, attempt=attempt)
        agent.process, agent.state = process, "running"
        told = agent.publisher.record(self._placed(agent, process, attempt))
        telling = asyncio.ensure_future(told)  # no turn waits for a disk that it will wait for soon
        try:
            timeout_s = agent.spec.timeout_s
            if timeout_s is None:
                return await process.turn(agent.message)
            return await guarded_turn(process, agent.message, timeout_s, agent.loan, self._clock)
        finally:
            agent.process = None
            await process.end()
            await asyncio.gather(telling, return_exceptions=True)

    def _placed(self, agent: Hosted, process: AgentProcess, attempt: int) -> AgentPlaced:
        place = process.place
        return AgentPlaced(
            attempt=attempt,
            node=place.node,
            host=place.host,
            process=place.process,
            served=place.served,
            memory_bytes=agent.spec.memory_bytes,
            took_ms=round((self._clock.monotonic() - agent.admitted_s) * 1000),
        )


def _is_cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
