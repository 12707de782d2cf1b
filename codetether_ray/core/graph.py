"""Questions about a graph of dependencies: order, stages, cycles, reach.

A graph maps each node to the nodes that it depends on; its keys are in plan order, and every
answer breaks ties by that order, so that the same plan always gives the same answer.
"""

import heapq
from collections.abc import Iterable, Mapping

Graph = Mapping[str, tuple[str, ...]]


def dependents(graph: Graph) -> dict[str, tuple[str, ...]]:
    """The graph turned around: who depends on each node."""
    out: dict[str, list[str]] = {node: [] for node in graph}
    for node, needs in graph.items():
        for need in needs:
            out[need].append(node)
    return {node: tuple(users) for node, users in out.items()}


def topological(graph: Graph) -> tuple[str, ...]:
    """Every node after its dependencies, ties by plan order. Nodes on or behind a cycle lack."""
    place = {node: index for index, node in enumerate(graph)}
    nodes = tuple(graph)
    users = dependents(graph)
    open_needs = {node: len(set(needs)) for node, needs in graph.items()}
    ready = [place[node] for node, count in open_needs.items() if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        node = nodes[heapq.heappop(ready)]
        order.append(node)
        for user in dict.fromkeys(users[node]):
            open_needs[user] -= 1
            if not open_needs[user]:
                heapq.heappush(ready, place[user])
    return tuple(order)


def stages(graph: Graph) -> dict[str, int]:
    """0 without dependencies, else one more than the highest of them. Needs an acyclic graph."""
    found: dict[str, int] = {}
    for node in topological(graph):
        found[node] = 1 + max((found[need] for need in graph[node]), default=-1)
    return found


def cycle(graph: Graph) -> tuple[str, ...]:
    """One cycle, its first node repeated at its end (`a`, `b`, `a`: a needs b); () if none."""
    left = set(graph) - set(topological(graph))
    if not left:
        return ()
    path: list[str] = []
    node = next(n for n in graph if n in left)
    while node not in path:
        path.append(node)
        # What is left has a dependency that is left too, or it would have been ordered.
        node = next(need for need in graph[node] if need in left)
    return (*path[path.index(node) :], node)


def reach(graph: Graph, start: Iterable[str]) -> set[str]:
    """Every node that can be reached from `start` along the arrows, `start` left out."""
    seen: set[str] = set()
    todo = [need for node in start for need in graph[node]]
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo.extend(graph[node])
    return seen
