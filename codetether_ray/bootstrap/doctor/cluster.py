"""The cluster that commands would join: whether it lets this program in, and each of its nodes.

Ray is imported only where there is a cluster to ask.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from codetether_ray.actors.examined import Examined
from codetether_ray.actors.head import Head, find_head
from codetether_ray.bootstrap.doctor import access, reaching
from codetether_ray.bootstrap.doctor.check import Check
from codetether_ray.bootstrap.doctor.node import CLOCK, FACTS
from codetether_ray.bootstrap.doctor.nodes import judge
from codetether_ray.bootstrap.token.place import find_token
from codetether_ray.bootstrap.truth.address import choose_address
from codetether_ray.config.settings import Settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.errors import ClusterError, CodetetherError


def head(data_dir: Path) -> Check:
    """This user's own head, if `codetether up` started one."""
    found = find_head(data_dir)
    if found is None:
        return Check(name="ray head", state="ok", detail="none; each swarm starts its own")
    if not found.fits:
        fix = "`codetether down`, then `codetether up`"
        words = f"{found.address} runs {found.runs}, not this program's versions"
        return Check(name="ray head", state="warn", detail=words, fix=fix)
    return Check(name="ray head", state="ok", detail=f"running at {found.address}")


def cluster(settings: Settings, env: Mapping[str, str], address: str | None) -> Iterator[Check]:
    """Checks of the cluster at `address`; None for the one that would be joined, if any."""
    try:
        wanted = choose_address(address, env)
        own = None if wanted.value else find_head(settings.paths.data)
        if wanted.is_named or (own is not None and own.fits):
            yield from asyncio.run(_looked_at(settings, env, wanted.value, own))
    except CodetetherError as error:
        yield Check(name="cluster", state="fail", detail=str(error))
    except Exception as error:  # noqa: BLE001 - a check that cannot be made is a finding
        yield Check(name="cluster", state="fail", detail=f"it cannot be checked: {error!r}")


async def _looked_at(
    settings: Settings, env: Mapping[str, str], address: str, own: Head | None
) -> list[Check]:
    from codetether_ray.actors.cluster import ClusterOptions, join_or_start
    from codetether_ray.actors.examining import examine_nodes
    from codetether_ray.actors.probe import probe
    from codetether_ray.actors.versions import ours

    probe(address or (own.address if own else ""))
    notices: list[str] = []
    there = await join_or_start(
        ClusterOptions(data_dir=settings.paths.data, address=address, must_match=False),
        notices.append,
    )
    try:
        if there.is_private:
            raise ClusterError(f"no cluster could be joined ({'; '.join(notices)})")
        names = await open_secret_store(env, settings.paths.data).providers()
        urls = access.provider_urls(settings, names).values()
        nodes = await examine_nodes(FACTS, CLOCK, {"urls": list(urls)})
        found = [Check(name="cluster", state="ok", detail=f"{there.address}, {len(nodes)} node(s)")]
        found += _dashboard(there.dashboard_url)
        found += await asyncio.to_thread(_from_here, nodes)
        token = "" if own else find_token(env).fingerprint  # one's own head has a token of its own
        return [*found, *judge(nodes, ours(), token)]
    finally:
        await there.close()


def _from_here(nodes: Sequence[Examined]) -> list[Check]:
    """Whether this machine reaches every node's ports, as a driver must."""
    lost = {
        f"{node.address}:{port}": why
        for node in nodes
        for port in node.ports
        if (why := reaching.trouble(f"{node.address}:{port}"))
    }
    if not lost:
        return []
    words = ", ".join(f"{address} ({why})" for address, why in list(lost.items())[:3])
    fix = "open those ports to this machine, or run this on a node of the cluster"
    return [Check(name="ports", state="fail", detail=f"not reached from here: {words}", fix=fix)]


def _dashboard(url: str) -> list[Check]:
    """Ray's dashboard, where the cluster says that it has one."""
    if not url:
        return []
    why = reaching.trouble_of_url(url)
    if not why:
        return [Check(name="dashboard", state="ok", detail=url)]
    fix = "open its port, or `ssh -L 8265:localhost:8265 HEAD`; nothing else needs it"
    return [Check(name="dashboard", state="warn", detail=f"{url}: {why}", fix=fix)]
