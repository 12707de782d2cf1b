"""Opens the gate of an ingress: its tokens, its policy, its audit log."""

from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.ingress.gate_keeper import Gate
from codetether_ray.ingress.options import IngressOptions


async def open_gate(options: IngressOptions, reach: Reach) -> Gate:
    """The gate; whoever opens it awaits its `close`.

    The server's own token is CODETETHER_AUTH_TOKEN of this process, else what the truth's data
    directory has. Named tokens are there as well.
    """
    raise NotImplementedError
