"""What is ordered over the network: plain values, complete, without a secret."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a run works on: one of a bundle, a URL, a directory on the head."""

    bundle: str = ""
    """Id of one that was uploaded."""
    url: str = ""
    """Of a git repository that the head can reach."""
    directory: str = ""
    """On the head."""
    ref: str = ""
    """The branch, tag or commit to start from; empty: what HEAD names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run may take. None leaves a choice to the head's settings."""

    model: str | None = None
    max_steps: int | None = None
    timeout_s: float | None = None
    budget_usd: float | None = None
    max_tokens: int | None = None
    parallel: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmOrder:
    """A swarm."""

    task: str
    source: Source = field(default_factory=Source)
    limits: Limits = field(default_factory=Limits)
    strategy: str | None = None
    max_subagents: int | None = None
    max_depth: int | None = None
    approved: bool = False
    """A plan of any size is carried out. Otherwise one that needs somebody's word is not begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrdOrder:
    """A PRD to work off."""

    prd: str = ""
    """Its JSON text; empty: it is in the repository, at `path`."""
    path: str = "prd.json"
    source: Source = field(default_factory=Source)
    limits: Limits = field(default_factory=Limits)
    max_iterations: int | None = None
    gate_timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOrder:
    """A relay that works for the approved run of an OKR."""

    okr_run_id: str
    task: str
    source: Source = field(default_factory=Source)
    limits: Limits = field(default_factory=Limits)
    count: int | None = None
    rounds: int | None = None
    resumes: str = ""
    """Go on with this relay instead; of `source` nothing is read then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """In whose name something is ordered, and which directories of the head that may use."""

    owner: str
    roots: tuple[str, ...] = ()
    """Directories, and all below them."""
    is_everywhere: bool = False
    default: str = ""
    """The directory that is worked on where an order names no source."""
    model: str = ""
    """`provider/model` that is asked where an order names none; empty: the head's settings say."""
