"""What an agent is built from, in the process where it lives."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core.spec import AgentSpec
from codetether_ray.ports.audit import Audit
from codetether_ray.ports.child_runs import ChildRuns
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.ledger import Ledger
from codetether_ray.ports.limiter import RateLimiter
from codetether_ray.ports.peers import PeerDesk
from codetether_ray.ports.prds import PrdDesk
from codetether_ray.ports.provider import Provider
from codetether_ray.ports.publisher import Publisher
from codetether_ray.ports.sandbox import Sandbox
from codetether_ray.ports.secrets import SecretSource
from codetether_ray.ports.snapshots import Keeper, Snapshots
from codetether_ray.ports.tool import ChildRuntime, ShareStore, ToolBox
from codetether_ray.telemetry.identity import RunTrace


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLinks:
    """What the host gives an agent: its voice, and the services of its run."""

    publisher: Publisher
    ledger: Ledger
    limiter: RateLimiter | None = None
    children: ChildRuntime | None = None
    runs: ChildRuns | None = None
    """Starts whole runs for it; None where nobody does."""
    shares: ShareStore | None = None
    keeper: Keeper | None = None
    """The run's hub, where that is on another node."""
    audit: Audit | None = None
    """The run's audit log, where the agent is on another node than it; None: this process's own."""
    trace: RunTrace | None = None
    """The run's trace, where its commands and providers are to know it."""
    secrets: SecretSource | None = None
    """The run's broker, on a cluster; None: the secret store of this process's user alone."""

    @property
    def is_away(self) -> bool:
        """Whether the agent is on another node than its run's files."""
        return self.audit is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentParts:
    """Everything the loop needs."""

    links: AgentLinks
    provider: Provider
    toolbox: ToolBox
    sandbox: Sandbox
    clock: Clock
    mask: Callable[[str], str]
    """Hides known and key-shaped secrets in tool output."""
    instructions: tuple[tuple[str, str], ...] = ()
    """AGENTS.md files as (path, text), farthest first."""
    search_program: str | None = None
    audit: Audit | None = None
    """None only where a test leaves it out: the wiring always gives one."""
    snapshots: Snapshots | None = None
    """None where no trees are kept (outside git)."""
    tails: Path | None = None
    """Where the output of commands is kept while they run; None: nowhere."""
    prds: PrdDesk | None = None
    """Makes and judges PRDs; None where no tool needs it."""
    peers: PeerDesk | None = None
    """Other agents to talk with; None where no tool needs it."""


Wiring = Callable[[AgentSpec, AgentLinks], Awaitable[AgentParts]]
"""Gathers an agent's parts where it lives; named by `module:function` when it must travel."""
