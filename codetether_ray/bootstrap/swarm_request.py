"""What a swarm was asked for, complete: it is journaled, and travels to a supervisor."""

from dataclasses import dataclass, field

from codetether_ray.core.codec import JsonObject, decode, encode_object
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.core.usage import Budget, Price
from codetether_ray.ports.admission import Placement
from codetether_ray.ports.pool import PoolTerms
from codetether_ray.swarm.options import STRATEGIES, Strategy, SwarmOptions
from codetether_ray.tools.catalog import TOOLS_BY_KIND, tools_for

ASK_ABOVE = 20
"""A plan of more sub-agents than this needs somebody's word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmRequest:
    """The task and the terms, settings included. No secret and no handle is in it."""

    swarm_id: str
    task: str
    directory: str
    data_dir: str
    model: str
    base_url: str = ""
    context_window: int | None = None
    price: Price | None = None
    strategy: str = "auto"
    max_subagents: int = 100
    max_steps: int = 100
    max_tool_calls: int = 500
    max_depth: int = 3
    timeout_s: float = 300.0
    memory_bytes: int = 200_000_000
    total_memory_bytes: int | None = None
    """What all agents together may take; None: what there is."""
    parallel: int | None = None
    """How many agents may live at once, whatever fits."""
    retry_for_s: float = 300.0
    wait_quota_s: float = 0.0
    pack: int = 1
    """How many sub-agents may share a process."""
    pool: PoolTerms = field(default_factory=PoolTerms)
    """How long its processes are kept for the next agents, where they are its own."""
    budget: Budget = field(default_factory=Budget)
    setup: str = ""
    copy: tuple[str, ...] = ()
    hooks: bool = False
    deliver: bool = False
    """Merge the result into the user's branch where everything succeeded."""
    ask_above: int | None = ASK_ABOVE
    """Ask before a plan of more sub-agents is begun; None: never."""
    resumed: bool = False
    is_planned: bool = False
    """This try has begun, and made its plan, in the process of its driver."""
    placement: Placement = "spread"
    labels: tuple[tuple[str, str], ...] = ()
    """Where its sub-agents go; see `AgentSpec`."""
    principal: str = ""
    """Who asked; see `AgentSpec.principal`."""
    repository: str = ""
    """Id of the clone that was brought to the run's home, where `directory` is on another machine
    than that; empty where it is there."""
    prefix: str = ""
    """Where in that repository the directory is."""

    def needs_approval(self, subagents: int) -> bool:
        """Whether somebody must agree to a plan of so many sub-agents."""
        return self.ask_above is not None and subagents > self.ask_above

    def to_json(self) -> JsonObject:
        """As `from_json` reads it."""
        return encode_object(self)

    @classmethod
    def from_json(cls, data: JsonObject) -> "SwarmRequest":
        """Read `to_json`'s form.

        Raises:
            ValueError: a member is missing.
        """
        return decode(cls, data)

    @property
    def correlation(self) -> Correlation:
        """The ids of its events."""
        return Correlation(run_id=self.swarm_id, swarm_id=self.swarm_id)

    def options(self) -> SwarmOptions:
        """The same in the coordinator's words."""
        is_leaf = self.max_depth <= 1  # a sub-agent is at depth 1
        template = AgentSpec(
            path="swarm",
            kind="subagent",
            name="swarm",
            model=self.model,
            root=self.directory,
            correlation=self.correlation,
            max_steps=self.max_steps,
            max_tool_calls=self.max_tool_calls,
            timeout_s=self.timeout_s,
            max_depth=self.max_depth,
            memory_bytes=self.memory_bytes,
            retry_for_s=self.retry_for_s,
            wait_quota_s=self.wait_quota_s,
            base_url=self.base_url,
            context_window=self.context_window,
            data_dir=self.data_dir,
            principal=self.principal,
            placement=self.placement,
            labels=self.labels,
        )
        return SwarmOptions(
            task=self.task,
            template=template,
            tools={kind: tools_for(kind, is_leaf=is_leaf) for kind in TOOLS_BY_KIND},
            strategy=_strategy(self.strategy),
            max_subagents=self.max_subagents,
        )


def _strategy(name: str) -> Strategy:
    return next((known for known in STRATEGIES if known == name), "auto")
