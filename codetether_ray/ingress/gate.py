"""The one gate of an ingress, for HTTP and gRPC: everybody takes its parts from here.

What a route, an RPC or a JSON-RPC method needs stands in `permissions`.
"""

from codetether_ray.ingress.gate_grpc import GateInterceptor
from codetether_ray.ingress.gate_http import GateMiddleware
from codetether_ray.ingress.gate_keeper import Gate
from codetether_ray.ingress.gate_opening import open_gate

__all__ = ["Gate", "GateInterceptor", "GateMiddleware", "open_gate"]
