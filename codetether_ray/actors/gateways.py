"""Which cluster is behind a Ray Client's or a dashboard's address, and the list of jobs it keeps.

A driver lives on a node of its cluster, and a node's own Ray knows where the head is: so such an
address is answered from this machine.
"""

import asyncio
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from codetether_ray.actors.head import find_head
from codetether_ray.core.errors import ClusterError

_PATIENCE_S = 30.0
_PAUSE_S = 1.0


def cluster_behind(address: str, data_dir: Path) -> str:
    """The cluster's own address (HOST:PORT) for `ray://HOST:10001` or `http://HOST:8265`.

    Where this machine is a node of several clusters of that host, the dashboard tells which one
    it is; `data_dir` is where a head of this user's own, and with it its token, is found.

    Raises:
        ClusterError: this machine is no node of that cluster, or it may be one of several.
    """
    host = urlsplit(address).hostname or ""
    meant = _addresses_of(host)
    found = {gcs: session for gcs, session in _joined_here().items() if _is_at(gcs, meant)}
    if len(found) > 1 and address.startswith("http"):
        named = _session_of(address, data_dir)
        found = {gcs: session for gcs, session in found.items() if session == named} or found
    if len(found) == 1:
        return next(iter(found))
    if found:
        raise ClusterError(
            f"{address} may stand for any of {', '.join(sorted(found))}; name that one instead"
        )
    raise ClusterError(
        f"this machine is no node of the cluster behind {address}, and a driver has to be on one: "
        f"run this on a node, or join with `ray start --address={host or 'HOST'}:6379` first"
    )


def _joined_here() -> dict[str, str]:
    """Addresses of the clusters whose nodes are on this machine, with their sessions' names."""
    import ray  # noqa: F401, PLC0415, I001 - it brings psutil along; only for such an address
    import psutil  # type: ignore[import-untyped]  # noqa: PLC0415

    found: dict[str, str] = {}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if words and words[0].endswith("/raylet"):
            flags = dict(word.partition("=")[::2] for word in words if word.startswith("--"))
            if flags.get("--gcs-address"):
                found[flags["--gcs-address"]] = flags.get("--session-name", "")
    return found


def _is_at(gcs: str, meant: frozenset[str]) -> bool:
    there = _addresses_of(gcs.rpartition(":")[0].strip("[]"))
    return bool(there & meant) or (_is_loopback(meant) and _is_here(there))


def _session_of(dashboard: str, data_dir: Path) -> str:
    """The name of the session that a dashboard is of; empty where it does not tell this user."""
    for token in _tokens(data_dir):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        asked = Request(f"{dashboard.rstrip('/')}/api/version", headers=headers)
        try:
            with urlopen(asked, timeout=_PATIENCE_S) as answer:
                return str(json.load(answer)["session_name"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return ""


def _tokens(data_dir: Path) -> Iterator[str]:
    """Tokens that this user has: of the environment, of a head of its own, of Ray's own file."""
    yield os.environ.get("RAY_AUTH_TOKEN", "")
    head = find_head(data_dir)
    named = os.environ.get("RAY_AUTH_TOKEN_PATH", "")
    for path in (named, head.token if head else "", "~/.ray/auth_token"):
        with suppress(OSError):
            if path:
                yield Path(path).expanduser().read_text(encoding="utf-8").strip()


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
    deadline = time.monotonic() + _PATIENCE_S
    try:
        async with aiohttp.ClientSession(headers=headers, timeout=patience) as session:
            while True:
                async with session.post(f"{dashboard}/api/jobs/", json=body) as answer:
                    if answer.status == 200:
                        return
                    said = (await answer.text()).strip().splitlines()
                if "try again later" not in "".join(said) or time.monotonic() > deadline:
                    break
                await asyncio.sleep(_PAUSE_S)
        raise ClusterError(
            f"the dashboard at {dashboard} takes no job (HTTP {answer.status}): "
            f"{said[-1] if said else 'no reason given'}"
        )
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ClusterError(f"the dashboard at {dashboard} does not answer: {error!r}") from error
