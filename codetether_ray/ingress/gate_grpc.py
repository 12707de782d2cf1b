"""The gate on gRPC: an interceptor for every service, streaming RPCs and unknown methods too."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from codetether_ray.ingress.gate_keeper import Gate

_Handler = grpc.RpcMethodHandler
_Next = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


class GateInterceptor(grpc.aio.ServerInterceptor):
    """`grpc.aio.server(interceptors=[GateInterceptor(gate)])`; it has to be the first."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def intercept_service(
        self, continuation: _Next, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """The RPC's handler, or one that refuses."""
        raise NotImplementedError
