"""Tools: what an agent can do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from codetether_ray.core.events import Event
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.ports.child_runs import ChildRuns
from codetether_ray.ports.peers import PeerDesk
from codetether_ray.ports.prds import PrdDesk
from codetether_ray.ports.sandbox import Sandbox

if TYPE_CHECKING:
    from pydantic import BaseModel

A = TypeVar("A", bound="BaseModel")


class Effect(StrEnum):
    """What a tool does to the world; scheduling, recovery and policy decide by it."""

    READ = "read"
    """Changes nothing: several may run at once, and again after a crash."""
    STATE = "state"
    """Changes only the agent's own notes."""
    WRITE = "write"
    """Idempotent file write inside the workspace."""
    SHELL = "shell"
    """Arbitrary command: never re-run by itself."""
    SPAWN = "spawn"
    """Starts another agent, or a run of many."""


class ChildRuntime(Protocol):
    """What the `task` tool needs: start a child of this agent, and wait for it."""

    async def run_child(
        self, parent: AgentSpec, call_id: str, description: str, prompt: str
    ) -> TurnResult:
        """Run a child agent to its end. The parent's permit is lent meanwhile.

        The child's path derives from the parent and the call, so a resumed parent finds the same
        child again. Raises `TreeLimitError` where the tree may not grow.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedResult:
    """A value that agents of a swarm share under a key; last write wins."""

    key: str
    producer: str
    value: Any
    tags: tuple[str, ...] = ()
    published_at: float = 0.0


class ShareStore(Protocol):
    """Results shared in a run (`results.{key}` on the bus)."""

    async def publish(self, result: SharedResult) -> None:
        """Store and announce."""
        ...

    async def get(self, key: str) -> SharedResult | None:
        """One result."""
        ...

    async def query(
        self, *, tags: tuple[str, ...] = (), prefix: str = ""
    ) -> tuple[SharedResult, ...]:
        """Results with any of the tags (all, if none is given) and a key prefix, by key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """One line of an agent's own list."""

    id: str
    content: str
    status: str = "pending"
    priority: str = "medium"


@dataclass(slots=True, kw_only=True)
class Notebook:
    """What an agent notes for itself during its life; rebuilt from the journal on resume."""

    todos: tuple[Todo, ...] = ()


def _nothing(_: str) -> None:
    """Keep nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """All that a tool may use. Paths are resolved against `root` and may not leave it."""

    spec: AgentSpec
    root: Path
    sandbox: Sandbox
    emit: Callable[[Event], None]
    """Publish a live event (output as it comes)."""
    call_id: str = ""
    keep_output: Callable[[str], None] = _nothing
    """Take output as it comes, so that a call that is cut off has it."""
    notebook: Notebook = field(default_factory=Notebook)
    children: ChildRuntime | None = None
    runs: ChildRuns | None = None
    shares: ShareStore | None = None
    prds: PrdDesk | None = None
    peers: PeerDesk | None = None
    run_tool: "Callable[[str, str], Awaitable[str]] | None" = None
    """Run another tool by name with JSON arguments (for `batch`); raises `ToolError`."""
    search_program: str | None = None
    """Path of `rg`, or None to search in Python."""


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """A tool is a name, arguments (whose docstring is the description), a function, an effect."""

    name: str
    arguments: type[A]
    function: Callable[[A, ToolContext], Awaitable[str]]
    effect: Effect
    timeout_s: float = 600.0
    """Last resort: the longest a call may take; tools with clocks of their own end earlier."""


class ToolBox(Protocol):
    """The tools of one agent, as the loop sees them: names, schemas, calls."""

    def schemas(self) -> tuple[Any, ...]:
        """`core.models.ToolSchema` of each tool, sorted by name."""
        ...

    def effect(self, name: str) -> Effect | None:
        """A tool's effect; None if there is no such tool."""
        ...

    async def call(self, name: str, arguments: str, ctx: ToolContext) -> str:
        """Validate JSON `arguments` and run the tool.

        Raises:
            ToolError: unknown tool, wrong arguments (the message names the right ones), or the
                tool's own refusal; its text is for the model.
        """
        ...
