"""The Serve application: replicas that listen on the public ports themselves.

Serve places, watches, restarts and replaces them; no request passes through Serve. So what Serve
says of requests (`max_ongoing_requests`, autoscaling by them, proxies) has no meaning here.
"""

import socket
from dataclasses import asdict
from typing import Any

from ray import serve

from codetether_ray.core.errors import ClusterError, CodetetherError, ConfigError
from codetether_ray.ingress.checks import options_of
from codetether_ray.ingress.serve_replica import Replica

APPLICATION = "codetether"
DEPLOYMENT = "Ingress"
_BIND, _OURS = "add_port_to_grpc_server", "keeps_at_home"
_HEAD = "node:__internal_head__"
_DRAIN_S = 20.0
_HEALTH_S = 5.0


class Ingress:
    """One replica: a process with its own event loop, its share of the ports, the same parts."""

    async def __init__(self, options: dict[str, Any]) -> None:  # type: ignore[misc]  # awaited
        _keep_inner_port_at_home()
        self._replica = Replica(options_of(options))
        try:
            await self._replica.start()
        except CodetetherError as error:
            if not self._replica.options.is_spread:
                raise
            raise ClusterError(f"on the node {socket.gethostname()}: {error}") from error

    def __repr__(self) -> str:
        return f"Ingress({self._replica.where})"

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Serve shows `user_config` to who asks what runs; other settings are a new version.

        Raises:
            ConfigError: it says something else than the arguments.
        """
        if options_of(user_config) != self._replica.options:
            raise ConfigError("an ingress takes its settings from `args`, not from `user_config`")

    async def check_health(self) -> None:
        """Serve replaces a replica whose event loop or listener is stuck or gone.

        Raises:
            ClusterError: so it is.
        """
        await self._replica.check()

    async def __del__(self) -> None:
        """Serve has told this replica to go: take no more, let what is under way end."""
        await self._replica.stop()


def _keep_inner_port_at_home() -> None:
    """Have the port that Serve opens in a replica listen at loopback, not on all interfaces.

    By it other deployments' requests could come, pickled; nobody sends any here. It wants Ray's
    token, where that is on. Serve has no setting for it, so the function that binds it is replaced
    in this process (Ray's version is pinned); where it is missing nothing is changed.
    """
    from ray.serve._private import replica

    plain: Any = getattr(replica, _BIND, None)
    if plain is None or hasattr(plain, _OURS):
        return

    def bind(server: Any, _: str) -> Any:
        return plain(server, "127.0.0.1:0")

    setattr(bind, _OURS, True)
    setattr(replica, _BIND, bind)


def build(options: dict[str, Any]) -> serve.Application:
    """The application of some options: for `serve deploy`, and for `codetether serve`.

    Args:
        options: as in `IngressOptions`; what is missing has its default.

    Raises:
        ConfigError: there is no such option, or it makes no sense.
    """
    chosen = options_of(options)
    if 0 in (chosen.port, chosen.grpc_port):
        raise ConfigError("replicas share their ports, so port and grpc_port are numbers, not 0")
    values = asdict(chosen)
    place: dict[str, Any] = (
        {"max_replicas_per_node": 1, "ray_actor_options": {"num_cpus": 0}}
        if chosen.is_spread
        else {"ray_actor_options": {"num_cpus": 0, "resources": {_HEAD: 0.001}}}
    )
    made = serve.deployment(
        Ingress,
        name=DEPLOYMENT,
        num_replicas=chosen.replicas,
        user_config=values,
        health_check_period_s=_HEALTH_S,
        health_check_timeout_s=3 * _HEALTH_S,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=_DRAIN_S,
        logging_config={"enable_access_log": False},
        **place,
    )
    return made.bind(values)
