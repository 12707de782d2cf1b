"""What every router and servicer of one ingress shares. One of them per replica or process."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ports.tasks import TaskStore

if TYPE_CHECKING:
    from a2a.server.request_handlers.request_handler import RequestHandler


@dataclass(kw_only=True)
class Parts:
    """One ingress' parts; made by `opening.open_parts`."""

    options: IngressOptions
    reach: Reach
    """Where the truth is, and the cluster that runs are started on; `reach.cluster` None: runs
    are in this process."""
    handler: "RequestHandler"
    """A2A's one handler, for all transports."""
    gate: Any
    """`ingress.gate.Gate`: who may come in, and do what."""
    agents: Any = None
    """What works on A2A tasks; `a2a.agents.TaskAgents`."""
    store: TaskStore | None = None
    """Where A2A tasks are recorded: an ingress is ready when it answers."""
    platform: Any = None
    """`worker.platform.Platform`: the tasks that workers claim."""
    peers: Any = None
    """Of a spawned peer: those it knows."""
    control: Any = None
    """`ingress.control.Control`: runs are started and ended there; made when it is first asked."""
    closing: list[Any] = field(default_factory=list)
    """Awaited at the end (callables), last first."""
