"""The cluster that a command uses, joined early only where the truth has to be asked for there."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from codetether_ray.bootstrap.truth.address import LOCAL, Address, choose_address
from codetether_ray.bootstrap.truth.place import Truth, find_truth, truth_here
from codetether_ray.core.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from codetether_ray.actors.cluster import Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where a command's runs live."""

    address: Address
    truth: Truth
    cluster: "Cluster | None" = None
    """Joined already; None: nobody had to ask it yet."""

    @property
    def source(self) -> str:
        """Who says what a command prints, for people."""
        if self.truth.is_here and self.address.is_named:
            return f"the head at {self.address.value}, whose files are here"
        return self.truth.source


@asynccontextmanager
async def reached(
    given: str | None, data_dir: Path, notice: Callable[[str], None], *, is_local: bool = False
) -> AsyncIterator[Reach]:
    """The reach of a command whose `--address` is `given`; left at the end.

    A head of one's own, announced in `data_dir`, has its files here: nothing is joined for it.

    Raises:
        ClusterError: the cluster that is named cannot be joined.
        UsageError: it has no address.
    """
    address = Address(value=LOCAL) if is_local else choose_address(given, os.environ)
    if address.is_http:
        await asyncio.to_thread(_refuse_ingress, address.value)
    if "://" in address.value:  # a Ray Client's or a dashboard's
        from codetether_ray.actors.gateways import cluster_behind

        behind = await asyncio.to_thread(cluster_behind, address.value, data_dir)
        address = replace(address, value=behind)
    if not address.is_named or is_own_head(address.value, data_dir):
        yield Reach(address=address, truth=truth_here(data_dir))
        return
    from codetether_ray.actors.cluster import ClusterOptions, join_or_start

    log = data_dir / "logs" / "cluster.ray.log"
    cluster = await join_or_start(
        ClusterOptions(data_dir=data_dir, address=address.value, log_path=log), notice
    )
    try:
        truth = await find_truth(data_dir, cluster.address)
        yield Reach(address=address, truth=truth, cluster=cluster)
    finally:
        await cluster.close()


def _refuse_ingress(address: str) -> None:
    """An ingress tells of runs; who drives one has to be on a node of the cluster.

    Raises:
        UsageError: the address is an ingress'.
    """
    from codetether_ray.bootstrap.truth.http import is_ingress

    with suppress(ClusterError):
        if is_ingress(address):
            raise UsageError(
                f"{address} is an ingress: `codetether send` talks with its agents, `codetether "
                "swarm` and `codetether ralph submit` order runs there; start this one on a node "
                "of the cluster, with its address HOST:6379, or here with `--address local`"
            )


async def ingress_named(given: str | None) -> str:
    """The URL of the ingress that a command whose `--address` is `given` shall use; else empty.

    Raises:
        UsageError: it has no address.
    """
    address = choose_address(given, os.environ)
    if not address.is_http:
        return ""
    from codetether_ray.bootstrap.truth.http import is_ingress

    with suppress(ClusterError):
        if await asyncio.to_thread(is_ingress, address.value):
            return address.value
    return ""


@asynccontextmanager
async def looking(
    given: str | None, data_dir: Path, notice: Callable[[str], None]
) -> AsyncIterator[Truth]:
    """The truth of a command that looks on: `reached`'s, or what an ingress tells of it.

    Raises:
        ClusterError: the cluster that is named cannot be joined, or its ingress does not answer.
    """
    url = await ingress_named(given)
    if not url:
        async with reached(given, data_dir, notice) as reach:
            yield reach.truth
        return
    from codetether_ray.bootstrap.truth.http import truth_at

    truth = await asyncio.to_thread(truth_at, url, os.environ)
    try:
        yield truth
    finally:
        if truth.http is not None:
            truth.http.close()


@asynccontextmanager
async def joined(
    reach: Reach, data_dir: Path, notice: Callable[[str], None]
) -> AsyncIterator["Cluster"]:
    """The cluster of a reach, which is joined now where nobody had to ask it yet.

    Raises:
        ClusterError: it cannot be joined.
    """
    if reach.cluster is not None:
        yield reach.cluster
        return
    from codetether_ray.actors.cluster import ClusterOptions, join_or_start

    log = data_dir / "logs" / "cluster.ray.log"
    named = "" if is_own_head(reach.address.value, data_dir) else reach.address.value
    wanted = ClusterOptions(data_dir=data_dir, address=named, log_path=log)
    cluster = await join_or_start(wanted, notice)
    try:
        yield cluster
    finally:
        await cluster.close()


def is_private(reach: Reach) -> bool:
    """Whether a private Ray is started for a run, if it is to be on Ray."""
    if reach.cluster is not None or reach.address.is_named:
        return False
    return reach.address.is_local or not has_own_head(reach.truth.data_dir)


def run_lasts(given: str | None, data_dir: Path) -> bool:
    """Whether a run on Ray that is started now goes on when its driver is gone.

    Raises:
        CodetetherError: what names the cluster is no address.
    """
    address = choose_address(given, os.environ)
    return address.is_named or (not address.is_local and has_own_head(data_dir))


def has_own_head(data_dir: Path) -> bool:
    """Whether a head of this user runs, announced in `data_dir`."""
    if not (data_dir / "ray" / "head.json").exists():  # the common case, without an import
        return False
    from codetether_ray.actors.head import find_head

    return find_head(data_dir) is not None


def is_own_head(address: str, data_dir: Path) -> bool:
    """Whether a head that is announced in `data_dir` is at that address."""
    if not (data_dir / "ray" / "head.json").exists():  # the common case, without an import
        return False
    from codetether_ray.actors.head import find_head

    head = find_head(data_dir)
    return head is not None and head.address == address
