"""Which cluster is joined, whether it lets this program in, and what is said where it does not."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from codetether_ray.actors import private
from codetether_ray.actors.head import find_head
from codetether_ray.actors.probe import probe
from codetether_ray.actors.token_check import lets_in
from codetether_ray.actors.versions import (
    TOLD,
    demand_match,
    from_ray,
    mismatch,
    ours,
    remedy,
)
from codetether_ray.core.errors import ClusterError

_MODE = "RAY_AUTH_MODE"
_TOLD_PATIENCE_S = 60.0
"""For the versions on the head, where the first command has the node's daemon started."""


def to_join(
    address: str, data_dir: Path, notice: Callable[[str], None]
) -> tuple[str, dict[str, str]] | None:
    """The address of a cluster to join and the environment for it; None to start one.

    Raises:
        ClusterError: `address` names none, or nobody answers there.
    """
    if address.startswith("ray://"):
        raise ClusterError(
            f"{address} is a Ray Client address, which cannot hold agents; give the head's own "
            "(RAY_ADDRESS=HOST:6379), or run this on a node of the cluster"
        )
    if address and address != "local":
        probe(address)
        return address, {"RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1"}
    head = None if address == "local" else find_head(data_dir)
    if head is None:
        return None
    if not head.fits:
        notice(
            f"the Ray head at {head.address} has {head.runs}, not this program's versions, so a "
            "private one is started; `codetether down` ends that head"
        )
        return None
    try:
        probe(head.address)
    except ClusterError:
        notice(f"the Ray head at {head.address} does not answer, so a private one is started")
        return None
    return head.address, {**private.QUIET, "RAY_AUTH_TOKEN_PATH": head.token}


@contextmanager
def admission(address: str) -> Iterator[None]:
    """Ray uses the token that the cluster wants, where this user has one, inside. Imports Ray.

    Raises:
        ClusterError: the cluster wants a token that this program was not given.
    """
    from ray._raylet import (  # type: ignore[attr-defined]  # noqa: PLC0415
        AuthenticationTokenLoader,
        Config,
    )

    loader = AuthenticationTokenLoader.instance()
    if os.environ.get("RAY_USE_TLS") or lets_in(address, loader.get_token_for_http_header()):
        yield
        return
    if _MODE not in os.environ and loader.has_token(ignore_auth_mode=True):
        with private.environment({_MODE: "token"}):
            Config.initialize("")
            loader.reset_cache()
            if lets_in(address, loader.get_token_for_http_header()):
                yield
                return
    raise ClusterError(
        f"the Ray cluster at {address} wants another token; give RAY_AUTH_TOKEN_PATH=FILE (or "
        "RAY_AUTH_TOKEN) of that cluster, with RAY_AUTH_MODE=token"
    )


def own_raylet(address: str) -> dict[str, str]:
    """An argument of `ray.init` that tells which of several raylets on this machine is meant.

    Ray takes the head's, or any, where it sees the processes of several: that of another network
    namespace would be out of reach, and Ray would end this process.
    """
    from ray._private import services  # noqa: PLC0415 - imported already

    if len(services.find_node_ids()) < 2:
        return {}
    return {"_node_ip_address": services.node_ip_address_from_perspective(address)}


def demand_versions(address: str) -> None:
    """Compare the head of the cluster that this process has joined with this process.

    Two versions of this program would run two different loops on one journal. It blocks.

    Raises:
        ClusterError: they differ, or it has not this program; the sentence says what mends it.
    """
    import ray  # noqa: PLC0415 - imported already
    from ray.exceptions import GetTimeoutError, RayError  # noqa: PLC0415

    from codetether_ray.actors.calls import reason  # noqa: PLC0415 - it imports Ray
    from codetether_ray.actors.node import RayNode, head_node  # noqa: PLC0415

    node = RayNode.on(head_node(), lasts=True)
    where = f"the cluster at {address}"
    try:
        found = ray.get(node.actor.call.remote(TOLD, ()), timeout=_TOLD_PATIENCE_S)
    except GetTimeoutError as error:
        raise ClusterError(
            f"{where} did not start this program on its head within {_TOLD_PATIENCE_S:.0f} s; "
            f"`codetether doctor --address {address}` looks at each of its nodes"
        ) from error
    except RayError as error:
        raise ClusterError(
            f"{where} cannot run this program on its head ({reason(error)}); install it there: "
            f"`{remedy(ours(), ours())}`"
        ) from error
    demand_match(found, where)


def worded(error: Exception, address: str) -> ClusterError:
    """A failed start or join, as one sentence."""
    if isinstance(error, ClusterError):
        return error
    text = str(error).strip()
    if "Version mismatch" in text:
        return ClusterError(mismatch(from_ray(text), f"the cluster at {address}") or text)
    line = text.splitlines()[0] if text else type(error).__name__
    if address not in ("", "local"):
        return ClusterError(f"the Ray cluster at {address} cannot be joined: {line}")
    return ClusterError(
        f"Ray could not be started: {line.rstrip('.')}; `codetether doctor` looks for the cause, "
        "and `--local` does without Ray"
    )
