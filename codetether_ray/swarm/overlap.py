"""Subtasks that say they will change the same files: an order between them, or a warning."""

from collections.abc import Mapping
from itertools import pairwise

from codetether_ray.core import graph

Files = Mapping[str, tuple[str, ...]]


def order_overlaps(
    needs: graph.Graph, files: Files, names: Mapping[str, str]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Dependencies with those added that stated files ask for, and sentences on what was found.

    Two independent subtasks that name the same file run one after the other (the later in plan
    order waits); one that names a directory of the other's file is warned about.
    """
    order = graph.topological(needs)
    out = dict(needs)
    warnings: list[str] = []
    for path, users in _by_path(order, files).items():
        for first, second in pairwise(users):
            if first in graph.reach(out, (second,)):
                continue
            # Every added edge follows one order of the whole graph, so no cycle can arise.
            out[second] = (*out[second], first)
            warnings.append(
                f'"{names[second]}" waits for "{names[first]}": both say they change {path}'
            )
    return out, (*warnings, *_directories(out, order, files, names))


def _by_path(order: tuple[str, ...], files: Files) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for id in order:
        for path in files.get(id, ()):
            users.setdefault(path, []).append(id)
    return users


def _directories(
    needs: graph.Graph, order: tuple[str, ...], files: Files, names: Mapping[str, str]
) -> tuple[str, ...]:
    users = _by_path(order, files)
    found: dict[tuple[str, str], str] = {}
    for path, ids in users.items():
        parts = path.split("/")
        above = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
        for directory in above:
            for owner in users.get(directory, ()):
                for id in ids:
                    if owner != id:
                        found.setdefault((owner, id), f"{directory} holds {path}")
    return tuple(
        f'"{names[a]}" and "{names[b]}" may change the same files: {why}'
        for (a, b), why in found.items()
        if a not in graph.reach(needs, (b,)) and b not in graph.reach(needs, (a,))
    )
