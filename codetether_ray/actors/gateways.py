"""Which cluster is behind a Ray Client's or a dashboard's address, and the list of jobs it keeps.

A driver lives on a node of its cluster, and a node's own Ray knows where the head is: so such an
address is answered from this machine, without a word to what listens there.
"""

import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from codetether_ray.core.errors import ClusterError

_SCHEMES = ("ray", "http", "https")
_PATIENCE_S = 30.0


def is_gateway(address: str) -> bool:
    """Whether an address is one of those that stand for a cluster's own."""
    return address.partition("://")[0] in _SCHEMES and "://" in address


def cluster_behind(address: str) -> str:
    """The cluster's own address (HOST:PORT) for `ray://HOST:10001` or `http://HOST:8265`.

    Raises:
        ClusterError: this machine is no node of that cluster.
    """
    host = urlsplit(address).hostname or ""
    meant = _addresses_of(host)
    for found in sorted(_joined_here()):
        there = _addresses_of(found.rpartition(":")[0].strip("[]"))
        if there & meant or (_is_loopback(meant) and _is_here(there)):
            return found
    raise ClusterError(
        f"this machine is no node of the cluster behind {address}, and a driver has to be on one: "
        f"run this on a node, or join with `ray start --address={host or 'HOST'}:6379` first"
    )


def _joined_here() -> frozenset[str]:
    """Addresses of the clusters whose nodes are on this machine."""
    from ray._private import services  # noqa: PLC0415 - takes a second

    return frozenset(services.find_gcs_addresses())


def _addresses_of(host: str) -> frozenset[str]:
    try:
        return frozenset(str(info[4][0]) for info in socket.getaddrinfo(host, None))
    except OSError:
        return frozenset({host})


def _is_loopback(addresses: frozenset[str]) -> bool:
    return any(a == "::1" or a.startswith("127.") for a in addresses)


def _is_here(addresses: frozenset[str]) -> bool:
    """Whether a server can be bound to one of the addresses: then it is this machine's."""
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            try:
                trial.bind((address, 0))
            except OSError:
                continue
            return True
    return False


async def list_as_job(dashboard: str, id: str, entrypoint: str, about: Mapping[str, str]) -> None:
    """Have the cluster start `entrypoint` on its head as the Ray job `id`.

    It has no runtime environment: what it runs is installed there.

    Raises:
        ClusterError: the dashboard refuses, or is not there.
    """
    import aiohttp  # noqa: PLC0415 - only who submits needs it
    from ray._raylet import (  # type: ignore[attr-defined]  # noqa: PLC0415
        AuthenticationTokenLoader,
    )

    body: dict[str, Any] = {
        "entrypoint": entrypoint,
        "submission_id": id,
        "runtime_env": {},
        "metadata": dict(about),
    }
    headers = AuthenticationTokenLoader.instance().get_token_for_http_header()
    patience = aiohttp.ClientTimeout(total=_PATIENCE_S)
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=patience) as session,
            session.post(f"{dashboard}/api/jobs/", json=body) as answer,
        ):
            if answer.status != 200:
                said = (await answer.text()).strip().splitlines()
                raise ClusterError(
                    f"the dashboard at {dashboard} takes no job (HTTP {answer.status}): "
                    f"{said[-1] if said else 'no reason given'}"
                )
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ClusterError(f"the dashboard at {dashboard} does not answer: {error!r}") from error
