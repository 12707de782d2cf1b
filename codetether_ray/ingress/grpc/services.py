"""Every gRPC service of an ingress, on one port."""

import importlib
import importlib.util

_MODULES = ("a2a", "a2a_old", "control")
"""Of `ingress/grpc`; each has `SERVICE`, its full name, and `add_to(server, parts)`."""


def modules() -> list[object]:
    """Those that exist."""
    places = [f"codetether_ray.ingress.grpc.{name}" for name in _MODULES]
    return [importlib.import_module(one) for one in places if importlib.util.find_spec(one)]


def service_names() -> list[str]:
    """Full names of all services, health and reflection included."""
    from codetether_ray.ingress.grpc import health, reflection

    ours = [str(getattr(one, "SERVICE")) for one in modules()]  # noqa: B009 - a module's name
    return [*ours, health.SERVICE, reflection.SERVICE]
