"""Children of agents: which child a call means, what it is made from, who waits for it."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from codetether_ray.core.events import Event, ModelResponded
from codetether_ray.core.ids import slug
from codetether_ray.core.spec import AgentSpec, TurnResult

SPAWN_TOOL = "task"
_OF_ROOTS = frozenset({"swarm", "ralph"})
"""Tools that start whole runs: no child has them."""
_CHILD_ROLE = (
    "Another agent gave you a task. Do it, and nothing else; nobody can answer questions. Your "
    "last message is all that the other agent gets to see: report what you did and found."
)
_LOST = frozenset({"AgentLostError", "NodeLostError", "MemoryExceededError"})
_UNTOLD = 1_000  # ordinals from here on are of calls that no response names


def ordinal(history: Sequence[Event], call_id: str, tool: str = SPAWN_TOOL) -> int:
    """Which child (from 1) the call `call_id` of the tool means.

    Counted over all calls that the parent's model made, in their order, so that a parent that is
    rebuilt from its journal means the same child. Where a provider repeats ids, the last one
    counts. A call that no response holds (one made inside another tool) gets a number of its own.
    """
    calls = [
        call.id
        for event in history
        if isinstance(event, ModelResponded)
        for call in event.response.message.tool_calls
        if call.name == tool
    ]
    if call_id in calls:
        return len(calls) - calls[::-1].index(call_id)
    return _UNTOLD + zlib.crc32(call_id.encode("utf-8", "replace"))


def child_spec(parent: AgentSpec, path: str, description: str) -> AgentSpec:
    """A child works in its parent's tree under its terms; a leaf cannot spawn."""
    depth = parent.depth + 1
    is_leaf = depth >= parent.max_depth
    return replace(
        parent,
        path=path,
        kind="subagent",
        name=slug(description),
        instructions=_CHILD_ROLE,
        tools=tuple(
            t for t in parent.tools if t not in _OF_ROOTS and (t != SPAWN_TOOL or not is_leaf)
        ),
        depth=depth,
        output_schema=None,
        files=(),
    )


class Family:
    """The children of one parent, running and finished.

    Keeps true: one task per child's path, however often it is asked for; a child is cancelled
    when the last who waits for it is gone.
    """

    def __init__(self) -> None:
        self._children: dict[str, asyncio.Task[TurnResult]] = {}
        self._waiting: dict[str, int] = {}

    async def join(self, path: str, begin: Callable[[], Awaitable[TurnResult]]) -> TurnResult:
        """The result of the child `path`; `begin` starts it if it was not started before."""
        if path not in self._children:
            self._children[path] = asyncio.ensure_future(begin())
        child = self._children[path]
        self._waiting[path] = self._waiting.get(path, 0) + 1
        try:
            return await asyncio.shield(child)
        finally:
            self._waiting[path] -= 1
            if not child.done() and not self._waiting[path]:
                del self._children[path]
                await _end(child)

    def results(self) -> tuple[TurnResult, ...]:
        """What the finished children came to, by path."""
        return tuple(
            child.result()
            for _, child in sorted(self._children.items())
            if child.done() and not child.cancelled() and child.exception() is None
        )

    async def leave(self) -> None:
        """The parent leaves its node: children that run end; those that its end has hit are
        forgotten, so that they are begun again when it asks again."""
        for path, child in tuple(self._children.items()):
            if not child.done():
                await _end(child)
            if child.cancelled() or child.exception() or child.result().error_kind in _LOST:
                self._children.pop(path, None)

    async def close(self) -> None:
        """End children that nobody can wait for any more."""
        for child in tuple(self._children.values()):
            await _end(child)
        self._children.clear()


async def _end(child: asyncio.Task[TurnResult]) -> None:
    child.cancel()
    await asyncio.wait({child})
    if not child.cancelled():
        child.exception()  # seen, so that nobody logs it as forgotten
