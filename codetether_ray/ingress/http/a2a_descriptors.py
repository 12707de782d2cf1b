"""The descriptors of everything on the gRPC port, for clients that have no reflection."""

from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

PATH = "/descriptors"
MEDIA_TYPE = "application/x-protobuf"


def descriptor_set(services: list[str]) -> FileDescriptorSet:
    """The files that define services, each after those that it imports."""
    pool = descriptor_pool.Default()
    found = FileDescriptorSet()
    seen: set[str] = set()

    def add(file: Any) -> None:
        if file.name in seen:
            return
        seen.add(file.name)
        for needed in file.dependencies:
            add(needed)
        file.CopyToProto(found.file.add())

    for service in services:
        add(pool.FindServiceByName(service).file)
    return found


def routes() -> list[BaseRoute]:
    """`GET /descriptors`: a serialised `FileDescriptorSet`."""

    async def answer(request: Request) -> Response:
        from codetether_ray.ingress.grpc.services import service_names

        return Response(descriptor_set(service_names()).SerializeToString(), media_type=MEDIA_TYPE)

    return [Route(PATH, answer, methods=["GET"])]
