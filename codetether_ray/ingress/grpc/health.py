"""`grpc.health.v1`: the server and each of its services are well while the server runs."""

from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_SERVING = health_pb2.HealthCheckResponse.SERVING


class Health(aio.HealthServicer):  # type: ignore[misc]
    """The library's servicer, and the one method that it lacks."""

    def __init__(self, services: list[str]) -> None:
        super().__init__()
        self._server_status.update(dict.fromkeys(services, _SERVING))

    async def List(  # noqa: N802 - the RPC's name
        self, request: Any, context: Any
    ) -> health_pb2.HealthListResponse:
        """Every service and how it is."""
        answer = health_pb2.HealthListResponse()
        for service, status in self._server_status.items():
            answer.statuses[service].status = status
        return answer


def add_to(server: grpc.aio.Server, services: list[str]) -> None:
    """Have a server answer for these services and for itself."""
    health_pb2_grpc.add_HealthServicer_to_server(Health(services), server)
