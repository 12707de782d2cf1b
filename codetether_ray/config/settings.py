"""All settings of one command, from defaults, files and environment."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import cast

from codetether_ray.config.keys import KEYS
from codetether_ray.config.kinds import Value
from codetether_ray.config.layers import Layer, read_layers
from codetether_ray.config.paths import Paths, find_paths
from codetether_ray.core.errors import ConfigError
from codetether_ray.ports.pool import PoolTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceSettings:
    """How a fresh worktree is made usable."""

    setup: str = ""
    copy: tuple[str, ...] = ()
    hooks: bool = False
    cache_bytes: int = 20_000_000_000
    """What clones of repositories may take on this machine while nobody uses them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmSettings:
    """Limits of a swarm; times in seconds, sizes in bytes."""

    strategy: str = "auto"
    max_subagents: int = 100
    max_steps: int = 100
    max_depth: int = 3
    timeout_s: float = 300.0
    memory_bytes: int = 200_000_000
    total_memory_bytes: int | None = None
    """None: what there is."""
    placement: str = "spread"
    labels: tuple[str, ...] = ()
    """`NAME=VALUE`; what the nodes of sub-agents must have."""
    pack: int = 1
    """How many sub-agents may share a process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """Limits of one agent's turn; times in seconds."""

    max_steps: int = 50
    max_tool_calls: int = 500
    retry_for_s: float = 300.0
    wait_quota_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """How runs are kept here."""

    quota_bytes: int | None = None
    """What all runs together may take before it is spoken of; None: no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSettings:
    """Where runs are archived; there is an archive where there is a bucket."""

    bucket: str | None = None
    prefix: str = "events/"
    endpoint: str | None = None
    region: str = "us-east-1"
    sync: bool = False
    retention_s: float | None = None
    """None: files stay here for ever."""
    parquet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key's value and where it comes from: a file, a variable, or `default`."""

    key: str
    value: Value
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a command goes by. `default_model` is `provider/model`, or None where none is set."""

    paths: Paths
    default_model: str | None = None
    default_provider: str | None = None
    base_urls: Mapping[str, str] = field(default_factory=dict)
    """Addresses that replace a provider's own, by provider."""
    context_windows: Mapping[str, int] = field(default_factory=dict)
    """Tokens that a provider's models take, whatever is known of them, by provider."""
    workspace: WorkspaceSettings = field(default_factory=WorkspaceSettings)
    swarm: SwarmSettings = field(default_factory=SwarmSettings)
    pool: PoolTerms = field(default_factory=PoolTerms)
    """How long processes of agents are kept for the next ones."""
    agent: AgentSettings = field(default_factory=AgentSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    archive: ArchiveSettings = field(default_factory=ArchiveSettings)
    cluster_address: str = ""
    """The cluster that commands use where none is named."""
    listing: tuple[Setting, ...] = ()
    """Every key with its value and origin, for people."""

    def base_url(self, provider: str) -> str | None:
        """The address set for `provider`."""
        return self.base_urls.get(provider)


def load_settings(cwd: Path, env: Mapping[str, str]) -> Settings:
    """Read everything: defaults < user's file < project's files, root first < environment.

    Raises:
        ConfigError: a file or variable is wrong; the sentence names it, the key and the remedy.
    """
    found: dict[str, Setting] = {}
    for layer in read_layers(cwd, env):
        _lay(found, layer)
    _finish_model(found)
    values = {k: s.value for k, s in found.items()}
    plain = {name: values.get(name, key.default) for name, key in KEYS.items() if "*" not in name}
    return Settings(
        paths=find_paths(env),
        default_model=cast("str | None", plain["default_model"]),
        default_provider=cast("str | None", plain["default_provider"]),
        base_urls=MappingProxyType(
            {name: str(value) for name, value in _of_providers(values, "base_url")}
        ),
        context_windows=MappingProxyType(
            {name: cast("int", value) for name, value in _of_providers(values, "context_window")}
        ),
        workspace=_workspace(plain),
        swarm=_swarm(plain),
        pool=_pool(plain),
        agent=_agent(plain),
        journal=JournalSettings(quota_bytes=cast("int | None", plain["journal.quota"])),
        archive=_archive(plain),
        cluster_address=cast("str", plain["cluster.address"]),
        listing=_listing(found),
    )


def _of_providers(values: Mapping[str, Value], leaf: str) -> Iterator[tuple[str, Value]]:
    """Each provider's value of `providers.*.{leaf}`."""
    for key, value in values.items():
        room, _, rest = key.partition(".")
        provider, _, last = rest.partition(".")
        if room == "providers" and last == leaf:
            yield provider, value


def _lay(found: dict[str, Setting], layer: Layer) -> None:
    """Lay one layer over what is below it."""
    values = dict(layer.values)
    if values.get("session.auto_save") is False:
        raise ConfigError(
            f"{layer.origin}: `session.auto_save` cannot be false: every run is journaled, so "
            "that it can be continued; remove the line"
        )
    provider = values.pop("default.provider", None)
    model = values.pop("default.model", None)
    if provider is not None:
        values["default_provider"] = provider
    if model is not None:
        joined = _joined(cast("str | None", provider), str(model))
        if values.get("default_model", joined) != joined:
            raise ConfigError(
                f"{layer.origin}: `default_model` and `[default] model` say different things; "
                "remove one of them"
            )
        values["default_model"] = joined
    if "default_provider" in values and "default_model" not in values:
        found.pop("default_model", None)  # a layer that names only a provider means its default
    for key, value in values.items():
        found[key] = Setting(key=key, value=value, origin=layer.origin)


def _joined(provider: str | None, model: str) -> str:
    if provider is None or model.startswith(f"{provider}/"):
        return model
    return f"{provider}/{model}"


def _finish_model(found: dict[str, Setting]) -> None:
    """A bare model belongs to the default provider."""
    model, provider = found.get("default_model"), found.get("default_provider")
    if model is None or "/" in str(model.value):
        return
    if provider is None:
        raise ConfigError(
            f"{model.origin}: the default model {model.value!r} has no provider; write "
            '"PROVIDER/MODEL", or set `provider` beside it'
        )
    joined = _joined(str(provider.value), str(model.value))
    found["default_model"] = Setting(key="default_model", value=joined, origin=model.origin)


def _workspace(values: Mapping[str, Value]) -> WorkspaceSettings:
    return WorkspaceSettings(
        setup=cast("str", values["workspace.setup"]),
        copy=cast("tuple[str, ...]", values["workspace.copy"]),
        hooks=cast("bool", values["workspace.hooks"]),
        cache_bytes=cast("int", values["workspace.cache"]),
    )


def _swarm(values: Mapping[str, Value]) -> SwarmSettings:
    return SwarmSettings(
        strategy=cast("str", values["swarm.strategy"]),
        max_subagents=cast("int", values["swarm.max_subagents"]),
        max_steps=cast("int", values["swarm.max_steps"]),
        max_depth=cast("int", values["swarm.max_depth"]),
        timeout_s=cast("float", values["swarm.timeout"]),
        memory_bytes=cast("int", values["swarm.memory"]),
        total_memory_bytes=cast("int | None", values["swarm.total_memory"]),
        placement=cast("str", values["swarm.placement"]),
        labels=cast("tuple[str, ...]", values["swarm.labels"]),
        pack=cast("int", values["swarm.pack"]),
    )


def _pool(values: Mapping[str, Value]) -> PoolTerms:
    return PoolTerms(
        idle_s=cast("float", values["pool.idle"]),
        idle_max=cast("int", values["pool.max_idle"]),
        agents_max=cast("int", values["pool.max_agents"]),
        age_max_s=cast("float", values["pool.max_age"]),
    )


def _agent(values: Mapping[str, Value]) -> AgentSettings:
    return AgentSettings(
        max_steps=cast("int", values["agent.max_steps"]),
        max_tool_calls=cast("int", values["agent.max_tool_calls"]),
        retry_for_s=cast("float", values["agent.retry_for"]),
        wait_quota_s=cast("float", values["agent.wait_quota"]),
    )


def _archive(values: Mapping[str, Value]) -> ArchiveSettings:
    prefix = cast("str", values["archive.prefix"])
    return ArchiveSettings(
        bucket=cast("str | None", values["archive.bucket"]) or None,
        prefix=f"{prefix.strip('/')}/" if prefix.strip("/") else "",
        endpoint=cast("str | None", values["archive.endpoint"]),
        region=cast("str", values["archive.region"]),
        sync=cast("bool", values["archive.sync"]),
        retention_s=cast("float | None", values["archive.retention"]),
        parquet=cast("bool", values["archive.parquet"]),
    )


def _listing(found: Mapping[str, Setting]) -> tuple[Setting, ...]:
    hidden = {"default.provider", "default.model"}  # other spellings of two keys above
    names = [name for name in KEYS if "*" not in name and name not in hidden]
    names += sorted(name for name in found if name.startswith("providers."))
    return tuple(
        found.get(name) or Setting(key=name, value=KEYS[name].default, origin="default")
        for name in names
    )
