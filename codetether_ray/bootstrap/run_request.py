"""What a run was asked for, complete: it is journaled, and travels to a supervisor."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from codetether_ray.core.codec import JsonObject, decode, encode_object
from codetether_ray.core.ids import RunKind
from codetether_ray.core.spec import AgentKind, AgentSpec, Correlation
from codetether_ray.core.usage import Budget, Price
from codetether_ray.ports.admission import Placement
from codetether_ray.ports.pool import PoolTerms
from codetether_ray.tools.catalog import TOOLS_BY_KIND, tools_for


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest(ABC):
    """The terms of a run of several agents, settings included. No secret, no handle is in it."""

    kind: ClassVar[RunKind]
    verb: ClassVar[str]
    """The command that does such runs."""

    directory: str
    data_dir: str
    model: str
    base_url: str = ""
    context_window: int | None = None
    price: Price | None = None
    max_steps: int = 100
    max_tool_calls: int = 500
    max_depth: int = 3
    timeout_s: float = 300.0
    """How long one agent's turn may take."""
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
    resumed: bool = False
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
    set_aside: tuple[str, ...] = ()
    """Files (absolute paths) that the base has as they were committed, whatever they hold now: the
    run keeps its state in them."""
    within: Correlation | None = None
    """Of the agent that started it, where one did."""

    @property
    @abstractmethod
    def run_id(self) -> str:
        """Its id."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What is asked, in the asker's words."""

    @property
    def correlation(self) -> Correlation:
        """The ids of its events."""
        return self.origin

    @property
    def origin(self) -> Correlation:
        """Its id, with the ids that it has of who started it."""
        return replace(self.within or Correlation(run_id=""), run_id=self.run_id)

    def to_json(self) -> JsonObject:
        """As `from_json` reads it."""
        return encode_object(self)

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        """Read `to_json`'s form.

        Raises:
            ValueError: a member is missing.
        """
        return decode(cls, data)

    def template(self, path: str, kind: AgentKind = "subagent") -> AgentSpec:
        """What all agents of the run have in common."""
        return AgentSpec(
            path=path,
            kind=kind,
            name=path,
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

    def tools(self) -> dict[AgentKind, tuple[str, ...]]:
        """Names of the tools that an agent of each kind gets."""
        is_leaf = self.max_depth <= 1  # a sub-agent is at depth 1
        return {kind: tools_for(kind, is_leaf=is_leaf) for kind in TOOLS_BY_KIND}
