"""An audit log in a directory, and what was done in it."""

import asyncio
from pathlib import Path

from codetether_ray.audit.log import AuditLog
from codetether_ray.audit.places import chain_path, chains, node_name
from codetether_ray.audit.query import Query, find
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.spec import Correlation
from codetether_ray.ports.audit import Action

RUN = Correlation(run_id="swm_0000000001_00000001", swarm_id="swm_0000000001_00000001")


def action(number: int = 0, **given: object) -> Action:
    """An action with a number that makes it unlike others."""
    values: dict[str, object] = {
        "category": "tool_execution",
        "action": "tool:bash",
        "resource": f"sha256:{number:04}",
        "principal": "agent:sub/one",
        "correlation": RUN,
    }
    return Action(**{**values, **given})  # type: ignore[arg-type]


def write_chain(data_dir: Path, actions: int = 3, *, is_closed: bool = True) -> str:
    """A chain with that many successful actions; its name."""

    async def work() -> None:
        log = AuditLog(data_dir)
        for number in range(actions):
            (id,) = await log.begin(action(number))
            log.end(id, "success")
        if is_closed:
            await log.close()
        else:
            await log.begin(action(actions))

    before = set(chains(data_dir, node_name()))
    asyncio.run(work())
    (made,) = set(chains(data_dir, node_name())) - before
    return made


def path_of(data_dir: Path, chain: str) -> Path:
    return chain_path(data_dir, node_name(), chain)


def entries(data_dir: Path, **wanted: object) -> list[JsonObject]:
    return [entry.data for entry in find(data_dir, Query(**wanted))]  # type: ignore[arg-type]
