"""`grpc.health.v1`: the server and each of its services are well while the server runs."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_SERVING = health_pb2.HealthCheckResponse.SERVING


def add_to(server: grpc.aio.Server, services: list[str]) -> None:
    """Have a server answer for these services and for itself."""
    servicer = aio.HealthServicer()
    servicer._server_status.update(dict.fromkeys(services, _SERVING))  # its `set` is a coroutine
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
