"""Which methods a path has, by the routes themselves: what `Allow` says."""

from collections.abc import Iterable, Iterator

from starlette.routing import BaseRoute, Match


def methods_at(routes: Iterable[BaseRoute], path: str) -> tuple[str, ...]:
    """The methods of every route that a path leads to; none: nothing is there."""
    scope = {"type": "http", "path": path, "root_path": "", "method": "GET", "headers": []}
    found: set[str] = set()
    for route in _flat(routes):
        if route.matches(scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return tuple(sorted(found))


def _flat(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Those of included routers too; FastAPI keeps them as one route."""
    for route in routes:
        router = getattr(route, "original_router", None)
        if router is None:
            yield route
        else:
            yield from _flat(router.routes)
