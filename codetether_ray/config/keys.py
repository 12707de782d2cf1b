"""The table of settings: every key there is, its kind, default and meaning."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from codetether_ray.config.kinds import (
    DURATION,
    FLAG,
    MODEL,
    SIZE,
    TEXT,
    TEXTS,
    URL,
    Kind,
    Value,
    choice,
    whole,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One setting. A `*` in the name stands for any provider."""

    name: str
    kind: Kind
    default: Value
    help: str
    is_user_only: bool = False
    """May stand in the user's own file and environment, never in a project's file."""


_TABLE = (
    Key(name="default_model", kind=MODEL, default=None, help="Model used when none is named."),
    Key(
        name="default_provider",
        kind=TEXT,
        default=None,
        help="Provider whose own default model is used when no model is set.",
    ),
    Key(name="default.provider", kind=TEXT, default=None, help="With default.model: its provider."),
    Key(name="default.model", kind=TEXT, default=None, help="The same as default_model."),
    Key(
        name="providers.*.base_url",
        kind=URL,
        default=None,
        help="Address of a provider. Keys and code are sent there.",
        is_user_only=True,
    ),
    Key(
        name="providers.*.context_window",
        kind=whole(1024),
        default=None,
        help="Tokens that a provider's models take, where that is not known: a local server's.",
    ),
    Key(
        name="workspace.setup",
        kind=TEXT,
        default="",
        help="Command that makes a fresh worktree buildable, such as `uv sync`.",
    ),
    Key(
        name="workspace.copy",
        kind=TEXTS,
        default=(),
        help="Globs of ignored files to copy into a fresh worktree, such as `.env`.",
    ),
    Key(
        name="workspace.hooks",
        kind=FLAG,
        default=False,
        help="Whether the repository's git hooks run on agents' commits.",
    ),
    Key(
        name="workspace.cache",
        kind=SIZE,
        default=20_000_000_000,
        help="Disk that clones of repositories may take on this machine while nobody uses them.",
        is_user_only=True,
    ),
    Key(
        name="swarm.strategy",
        kind=choice("auto", "domain", "data", "stage", "none"),
        default="auto",
        help="How a task is split.",
    ),
    Key(
        name="swarm.max_subagents",
        kind=whole(1),
        default=100,
        help="Subtasks that a plan may have.",
    ),
    Key(name="swarm.max_steps", kind=whole(1), default=100, help="Steps of one sub-agent."),
    Key(name="swarm.max_depth", kind=whole(0), default=3, help="How deep agents may spawn agents."),
    Key(
        name="swarm.timeout", kind=DURATION, default=300.0, help="Time that one sub-agent may take."
    ),
    Key(
        name="swarm.memory",
        kind=SIZE,
        default=200_000_000,
        help="Memory set aside for one sub-agent with its tools.",
    ),
    Key(
        name="swarm.total_memory",
        kind=SIZE,
        default=None,
        help="Memory that all agents of a swarm together may take; unset: what there is.",
    ),
    Key(
        name="swarm.placement",
        kind=choice("spread", "pack"),
        default="spread",
        help="Where sub-agents go on a cluster: to the emptiest node, or where the code is.",
    ),
    Key(
        name="swarm.labels",
        kind=TEXTS,
        default=(),
        help="Labels (NAME=VALUE) that a sub-agent's node must have, as `ray start --labels` gave.",
    ),
    Key(
        name="swarm.pack",
        kind=whole(1),
        default=1,
        help="Sub-agents that may share a process; 1: each has its own.",
    ),
    Key(
        name="pool.idle",
        kind=DURATION,
        default=60.0,
        help="How long a process of agents waits for the next agent before it ends.",
    ),
    Key(
        name="pool.max_idle",
        kind=whole(0),
        default=16,
        help="Processes of agents that may wait at once.",
    ),
    Key(
        name="pool.max_agents",
        kind=whole(1),
        default=200,
        help="Agents that one process serves, one after the other, before it ends.",
    ),
    Key(
        name="pool.max_age",
        kind=DURATION,
        default=7200.0,
        help="How old a process may be that an agent begins in.",
    ),
    Key(name="agent.max_steps", kind=whole(1), default=50, help="Steps of one turn."),
    Key(name="agent.max_tool_calls", kind=whole(1), default=500, help="Tool calls of one turn."),
    Key(
        name="agent.retry_for",
        kind=DURATION,
        default=300.0,
        help="How long one model request is tried again when the provider is busy.",
    ),
    Key(
        name="agent.wait_quota",
        kind=DURATION,
        default=0.0,
        help="How long to wait for a day's quota to come back.",
    ),
    Key(
        name="cluster.address",
        kind=TEXT,
        default="",
        help="Ray cluster that commands use where none is named; see `codetether context`.",
        is_user_only=True,
    ),
    Key(
        name="journal.quota",
        kind=SIZE,
        default=None,
        help="What all runs together may take on disk before it is spoken of; unset: no limit.",
        is_user_only=True,
    ),
    Key(
        name="audit.path",
        kind=TEXT,
        default=None,
        help="A second file for the audit log, best on another disk: one of the two is enough.",
        is_user_only=True,
    ),
    Key(
        name="archive.bucket",
        kind=TEXT,
        default=None,
        help="S3 bucket that runs are archived in; unset: no archive.",
        is_user_only=True,
    ),
    Key(
        name="archive.prefix",
        kind=TEXT,
        default="events/",
        help="What every name in the bucket begins with.",
        is_user_only=True,
    ),
    Key(
        name="archive.endpoint",
        kind=URL,
        default=None,
        help="Address of an S3-compatible store (R2, MinIO); unset: AWS.",
        is_user_only=True,
    ),
    Key(
        name="archive.region",
        kind=TEXT,
        default="us-east-1",
        help="Region of the bucket.",
        is_user_only=True,
    ),
    Key(
        name="archive.sync",
        kind=FLAG,
        default=False,
        help="Whether nothing counts as written before it is in the archive.",
        is_user_only=True,
    ),
    Key(
        name="archive.retention",
        kind=DURATION,
        default=None,
        help="How long a finished run's files stay here once the archive has them; unset: always.",
        is_user_only=True,
    ),
    Key(
        name="archive.parquet",
        kind=FLAG,
        default=False,
        help="Whether a Parquet copy of finished runs is made and archived as well.",
        is_user_only=True,
    ),
    Key(name="ui.theme", kind=TEXT, default="marketing", help="Colours of the terminal."),
    Key(
        name="session.auto_save",
        kind=FLAG,
        default=True,
        help="Sessions are always kept; only true is allowed.",
    ),
)
KEYS: Mapping[str, Key] = MappingProxyType({key.name: key for key in _TABLE})

_PROVIDER_KEY = re.compile(r"providers\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_SECRET = re.compile(
    r"(api[_-]?key|apikey|token|secret|password|passwd|credential|access[_-]?key)s?$", re.IGNORECASE
)


def find_key(name: str) -> Key | None:
    """The key that `name` means; None if there is none."""
    match = _PROVIDER_KEY.fullmatch(name)
    return KEYS.get(f"providers.*.{match[2]}" if match else name)


def is_secret_name(name: str) -> bool:
    """Whether the last part of `name` asks for a secret."""
    return _SECRET.search(name.rpartition(".")[2]) is not None


def nearest(name: str) -> str:
    """The existing key that `name` most resembles; empty if it resembles none."""
    match = _PROVIDER_KEY.fullmatch(name)
    if match:
        close = difflib.get_close_matches(match[2], ("base_url", "context_window"), n=1, cutoff=0.5)
        return f"providers.{match[1]}.{close[0] if close else 'base_url'}"
    dashed = name.replace("-", "_")
    leaves = {key.rpartition(".")[2]: key for key in KEYS}
    close = difflib.get_close_matches(dashed, KEYS, n=1, cutoff=0.6)
    if close:
        return close[0]
    leaf = difflib.get_close_matches(dashed.rpartition(".")[2], leaves, n=1, cutoff=0.7)
    return leaves[leaf[0]] if leaf else ""
