"""Tasks of the platform that workers claim, and the workers. Values only: they travel."""

from dataclasses import dataclass, field
from typing import Literal

from codetether_ray.core.codec import JsonObject

WorkStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
OPEN: tuple[WorkStatus, ...] = ("pending", "running")
OVER: tuple[WorkStatus, ...] = ("completed", "failed", "cancelled")
STATUSES: tuple[WorkStatus, ...] = (*OPEN, *OVER)
SWARM_KINDS = ("swarm", "parallel", "multi-agent")
"""Agent types that mean a swarm; a worker needs the capability `swarm` for them."""
SWARM = "swarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkWish:
    """What is asked for: a task before it has an id."""

    title: str = "Untitled"
    prompt: str = ""
    """Empty: the title."""
    agent_type: str = "build"
    model: str = ""
    """`provider/model`; empty: the worker's own."""
    codebase: str = ""
    """The path, or the last part of the path, of a codebase that a worker registered; empty: the
    worker's first."""
    agent_name: str = ""
    """The worker that shall do it, by its name; empty: any."""
    priority: int = 0
    """The higher goes first; equal ones in the order in which they came."""
    session_id: str = ""
    """A session of the worker's to go on with."""
    metadata: JsonObject = field(default_factory=dict)
    source: str = ""
    """With `event`, names the event that asked for it: the same one asks once."""
    event: str = ""
    id: str = ""
    """The task's id, where the asker chooses it; empty: a fresh one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTask:
    """A task of the platform, as it stands."""

    id: str
    owner: str
    """`Principal.owner` of who asked."""
    tenant: str
    wish: WorkWish
    status: WorkStatus = "pending"
    worker_id: str = ""
    """Who holds it, or did last."""
    lease: int = 0
    """Grows by one with each claim: who comes with an old number is refused."""
    lease_until: float = 0.0
    """Seconds since the epoch."""
    attempt: int = 1
    """Grows by one where a lease ran out; a worker that hands a task back costs none."""
    is_cancelling: bool = False
    """Its cancellation was asked for while a worker had it."""
    result: str = ""
    error: str = ""
    session_id: str = ""
    """What the worker did it as."""
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether nothing will be done for it any more."""
        return self.status in OVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker as it registered."""

    id: str
    tenant: str
    """Of the principal that it came in as: it sees that tenant's tasks alone."""
    owner: str = ""
    name: str = ""
    hostname: str = ""
    capabilities: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """`provider/model`, those that it can ask."""
    codebases: tuple[str, ...] = ()
    registered_at: float = 0.0
    seen_at: float = 0.0
    status: str = "idle"
    active: int = 0
    """How many tasks it said that it works on."""
    cognition: JsonObject = field(default_factory=dict)
    """What it shares of its thoughts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a worker says that a task ended."""

    status: Literal["completed", "failed", "cancelled", "released"]
    """`released`: it is handed back, to be done by another."""
    result: str = ""
    error: str = ""
    session_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A task that a worker says it works on."""

    id: str
    lease: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the platform answers to a heartbeat."""

    cancelled: tuple[str, ...] = ()
    """Tasks of the worker's to be stopped."""
    lost: tuple[str, ...] = ()
    """Tasks that it named and has no more: whatever comes of them is refused."""
    lease_s: float = 0.0
    """How long what was renewed holds from now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A piece of what a task's worker printed."""

    n: int
    """Grows over all of the task's pieces."""
    lease: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that happened to a task and that workers should know."""

    n: int
    """Grows over all changes."""
    kind: Literal["offered", "cancel"]
    task: WorkTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Changes after one that is known, and where to go on."""

    items: tuple[Change, ...] = ()
    last: int = 0
