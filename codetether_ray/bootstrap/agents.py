"""The default wiring: what an agent is made from, gathered in the process where it lives."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from codetether_ray.agent.instructions import find_instructions
from codetether_ray.agent.parts import AgentLinks, AgentParts
from codetether_ray.agent.trees import WRITING
from codetether_ray.bootstrap.a2a.peer_desk import Peers
from codetether_ray.bootstrap.auditing.opening import open_audit
from codetether_ray.bootstrap.known_secrets import known_values
from codetether_ray.bootstrap.late import LateSnapshots
from codetether_ray.bootstrap.ralph.prd_desk import RepositoryPrds
from codetether_ray.config.paths import data_dir as default_data_dir
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.masking import Masker
from codetether_ray.core.spec import AgentSpec
from codetether_ray.local.clock import SystemClock
from codetether_ray.ports.secrets import ProviderSecret
from codetether_ray.ports.snapshots import Snapshots
from codetether_ray.providers.http import HttpClient
from codetether_ray.providers.registry import open_provider, parse_model
from codetether_ray.sandbox.leftovers import marks
from codetether_ray.sandbox.local import LocalSandbox
from codetether_ray.sandbox.shares import MemoryShare
from codetether_ray.tools import offers
from codetether_ray.tools.toolbox import toolbox

WIRING = f"{__name__}:build_parts"
"""The name by which an agent's host finds `build_parts` in another process."""

_secrets: dict[tuple[str, str, str], ProviderSecret | None] = {}


TAILS = "output"
"""Below the data directory: what commands that run now have printed."""


async def build_parts(spec: AgentSpec, links: AgentLinks) -> AgentParts:
    """Open the agent's provider with its key, and give it its tools.

    Raises:
        CodetetherError: no such provider, no key, no readable secret store.
    """
    ref = parse_model(spec.model)
    data_dir = data_dir_of(spec, links)
    secret = await _secret(spec, links, ref.provider)
    clock = SystemClock()
    provider = open_provider(
        ref,
        secret=secret,
        http=_http(),
        clock=clock,
        limiter=links.limiter,
        base_url=spec.base_url,
        retry_for_s=spec.retry_for_s,
        wait_quota_s=spec.wait_quota_s,
    )
    known = known_values(os.environ, secret)
    audit = links.audit or open_audit(data_dir)
    audit.conceal(known)
    return AgentParts(
        links=links,
        provider=provider,
        toolbox=toolbox(spec.tools),
        sandbox=LocalSandbox(
            marks=marks(spec.correlation.run_id, spec.path), share=_memory_share(spec)
        ),
        clock=clock,
        mask=Masker(known),
        instructions=find_instructions(Path(spec.root)),
        search_program=_search_program(),
        audit=audit,
        snapshots=_snapshots(spec, links, data_dir),
        tails=data_dir / TAILS,
        prds=RepositoryPrds(),
        peers=Peers(data_dir, os.environ),
    )


def _memory_share(spec: AgentSpec) -> MemoryShare | None:
    """A sub-agent's commands stay within what was set aside; a session's are its user's own."""
    if spec.kind == "main" or not spec.memory_bytes:
        return None
    name = f"{spec.correlation.run_id} {spec.path}"
    return MemoryShare(spec.path, name, spec.memory_bytes, may_grow=spec.may_grow)


_keepers = 0
"""How many hold on to what the agents of this process share."""


async def close_process() -> None:
    """Close what the agents of this process shared, unless somebody keeps it; forget keys."""
    _secrets.clear()
    if not _keepers:
        await _http().aclose()


@asynccontextmanager
async def kept_process() -> AsyncIterator[None]:
    """Several runs may live in this process at once: none closes what the others use."""
    global _keepers
    _keepers += 1
    try:
        yield
    finally:
        _keepers -= 1
        await close_process()


def data_dir_of(spec: AgentSpec, links: AgentLinks) -> Path:
    """Where keys and trees are kept: the run's own place, or that of the node it is away on."""
    if spec.data_dir and not links.is_away:
        return Path(spec.data_dir)
    return default_data_dir(os.environ)


async def _secret(spec: AgentSpec, links: AgentLinks, provider: str) -> ProviderSecret | None:
    """A provider's secret, had once per process and principal.

    From Vault where this node has one; else from the run's broker, where it has one; else from
    the store of this process's user.
    """
    broker = None if os.environ.get("VAULT_ADDR") else links.secrets
    key = (spec.principal, spec.data_dir if broker is None else "broker", provider)
    if key not in _secrets:
        here = data_dir_of(spec, links)
        source = open_secret_store(os.environ, here) if broker is None else broker
        _secrets[key] = await source.get(provider)
    return _secrets[key]


def _snapshots(spec: AgentSpec, links: AgentLinks, data_dir: Path) -> Snapshots | None:
    """What keeps the agent's trees; None where it cannot change any, or there is no repository."""
    writes = any(offers.effect(name) in WRITING for name in spec.tools)
    if not writes or not (spec.hub or _is_in_repository(Path(spec.root))):
        return None
    root, is_own = Path(spec.root), spec.tree == spec.path
    return LateSnapshots(root, lambda: _git_snapshots(spec, links, data_dir), is_own=is_own)


def _git_snapshots(spec: AgentSpec, links: AgentLinks, data_dir: Path) -> Snapshots:
    from codetether_ray.workspace.hub import hub_path
    from codetether_ray.workspace.outpost import is_outpost
    from codetether_ray.workspace.snapshots import GitSnapshots

    run_id = spec.correlation.run_id
    hub = Path(spec.hub) if spec.hub else hub_path(data_dir, run_id)
    is_own = spec.tree == spec.path
    keeper = links.keeper if is_outpost(hub) else None
    return GitSnapshots(
        Path(spec.root), hub, run_id=run_id, agent=spec.path, is_own=is_own, keeper=keeper
    )


def _is_in_repository(root: Path) -> bool:
    """Whether there is a `.git` above: most places without one are told so without a process."""
    places = (root, *root.parents)
    return any(os.path.exists(f"{place}/.git") for place in places)  # noqa: PTH110 - for each agent


@cache
def _http() -> HttpClient:
    return HttpClient()


@cache
def _search_program() -> str | None:
    return shutil.which("rg")
