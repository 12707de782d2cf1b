"""`grpc.reflection.v1alpha`: what is on the port, for tools such as grpcurl. It needs a token."""

import grpc
from grpc_reflection.v1alpha import reflection

SERVICE: str = reflection.SERVICE_NAME


def add_to(server: grpc.aio.Server, services: list[str]) -> None:
    """Have a server describe these services."""
    reflection.enable_server_reflection(services, server)
