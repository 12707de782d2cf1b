"""What the attempts of a run share."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from codetether_ray.agent.tally import Tally
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.events import Event
from codetether_ray.core.ids import slug
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.publisher import Publisher
from codetether_ray.ports.sandbox import Sandbox
from codetether_ray.ports.trunk import Trunk
from codetether_ray.ports.workspace import Base, Workspace
from codetether_ray.ralph.board import Board, StoryState
from codetether_ray.ralph.book import Book
from codetether_ray.ralph.crew import Crew
from codetether_ray.ralph.options import RalphOptions
from codetether_ray.ralph.prd import Prd, Story

Ask = Callable[[JsonObject], Awaitable[object]]
"""Puts a question to whoever drives the run; a yes is True, or an object with `approved`."""


@dataclass(slots=True, kw_only=True)
class Place:
    """One try of a run: its ports, and the board that all of it is noted on."""

    options: RalphOptions
    base: Base
    crew: Crew
    tally: Tally
    workspace: Workspace
    trunk: Trunk
    book: Book
    sandbox: Sandbox
    publisher: Publisher
    clock: Clock
    board: Board
    ask: Ask | None = None
    mask: Callable[[str], str] = str
    """Takes secrets out of what gates print."""
    landed: Mapping[str, str] = field(default_factory=dict)
    """Commits of this run that earlier tries landed, by story."""
    landing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One story lands at a time."""

    @property
    def prd(self) -> Prd:
        """The PRD as it is."""
        return self.book.prd

    def state(self, story: Story) -> StoryState:
        """How a story stands."""
        return self.board[story.id]

    def slug(self, story: Story) -> str:
        """A story's name in paths."""
        return self.prd.slugs.get(story.id) or slug(story.id)

    async def tell(self, *events: Event) -> None:
        """Record what happened; then it counts."""
        await self.publisher.record(*events)
        for event in events:
            self.board.take(event)
