"""Listens: one process' share of an ingress' public ports, HTTP and gRPC, until it is stopped."""

from codetether_ray.ingress.parts import Parts


class Listening:
    """An ingress that answers on its ports."""

    def __init__(self, parts: Parts) -> None:
        self.port = parts.options.port
        self.grpc_port = parts.options.grpc_port

    @classmethod
    async def start(cls, parts: Parts, *, shares: bool = False) -> "Listening":
        """Bind the ports of `parts.options` and answer on them in this event loop.

        `port` and `grpc_port` then say which they are, where the options say 0.

        Args:
            parts: the ingress.
            shares: other processes answer on the same ports (replicas): they are numbers, and were
                looked at by who starts them all (`demand_free`).

        Raises:
            PortTakenError: somebody else listens there.
        """
        raise NotImplementedError

    async def stop(self, grace_s: float = 10.0) -> None:
        """Take no more; let what is under way end for `grace_s`, then end it."""
        raise NotImplementedError
