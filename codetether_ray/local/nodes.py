"""Nodes, what is reserved on each, and what was seen there: where an agent fits."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from codetether_ray.core.errors import CodetetherError, InfeasibleError, NodeLostError
from codetether_ray.ports.admission import Need
from codetether_ray.ports.host import Capacity, NodeCapacity

FLOOR_BYTES = 256_000_000
"""Stays free on a node, whatever was reserved."""
_ROUNDING = 1e-6  # sums of fractions of a CPU


@dataclass(slots=True, eq=False)
class Node:
    """One node."""

    seen: NodeCapacity
    live: int = 0
    memory_bytes: int = 0
    cpus: float = 0.0
    memory_when_seen: int = 0
    is_gone: bool = False
    """It was not among the nodes any more; what is reserved there has yet to be given back."""

    @property
    def unreserved_bytes(self) -> int:
        """What nobody has reserved."""
        return self.seen.memory_bytes - self.memory_bytes

    @property
    def free_bytes(self) -> int:
        """Free memory as seen, less what was promised since and may not be in use yet."""
        promised = max(self.memory_bytes - self.memory_when_seen, 0)
        return self.seen.free_memory_bytes - promised

    @property
    def load(self) -> float:
        """The larger of the fractions of memory and CPUs that are reserved."""
        memory = self.memory_bytes / max(self.seen.memory_bytes, 1)
        return max(memory, self.cpus / self.seen.cpus if self.seen.cpus else 0.0)

    def could_hold(self, need: Need) -> bool:
        """Whether it could if it were empty."""
        return (
            need.memory_bytes <= self.seen.memory_bytes
            and need.cpus <= self.seen.cpus + _ROUNDING
            and set(need.labels) <= set(self.seen.labels)
        )

    def has_unreserved(self, need: Need) -> bool:
        """Whether nobody has reserved so much."""
        return (
            need.memory_bytes <= self.unreserved_bytes
            and self.cpus + need.cpus <= self.seen.cpus + _ROUNDING
        )


class Nodes:
    """Keeps true: what is taken on a node is what was granted there and not given back."""

    def __init__(self, floor_bytes: int = FLOOR_BYTES) -> None:
        self._floor = floor_bytes
        self._nodes: dict[str, Node] = {}
        self._growth: tuple[Node, ...] = ()
        self._most_bytes: int | None = None
        self.live = 0
        """How many live on all of them."""

    @property
    def memory_bytes(self) -> int:
        """What all nodes have together."""
        return sum(node.seen.memory_bytes for node in self._present())

    @property
    def cpus(self) -> float:
        """What all nodes have together."""
        return sum(node.seen.cpus for node in self._present())

    def are_all(self, nodes: Collection[str]) -> bool:
        """Whether these are all nodes there are."""
        return all(node.seen.node in nodes for node in self._present())

    def see(self, capacity: Capacity) -> None:
        """Take what was seen now."""
        seen = capacity.nodes or (_whole(capacity),)
        for one in seen:
            node = self._nodes.setdefault(one.node, Node(one))
            node.seen, node.is_gone = one, False
            node.memory_when_seen = node.memory_bytes
        present = {one.node for one in seen}
        for id, node in tuple(self._nodes.items()):
            if id not in present:
                node.is_gone = True
                self._forget_unused(id, node)
        self._growth = tuple(Node(kind) for kind in capacity.growth)
        self._most_bytes = None if capacity.nodes else capacity.largest_memory_bytes

    def take(self, need: Need, id: str) -> None:
        """Reserve on a node, whether it fits or not; one that was never seen gives nothing else."""
        unseen = NodeCapacity(node=id, cpus=0, memory_bytes=0, free_memory_bytes=0)
        node = self._nodes.setdefault(id, Node(unseen, is_gone=True))
        node.live += 1
        node.memory_bytes += need.memory_bytes
        node.cpus += need.cpus
        self.live += 1

    def give(self, need: Need, id: str) -> None:
        """Give back what was taken."""
        node = self._nodes[id]
        node.live -= 1
        node.memory_bytes -= need.memory_bytes
        node.cpus -= need.cpus
        self.live -= 1
        self._forget_unused(id, node)

    def choose(self, need: Need, claimed: Collection[str] = ()) -> str | None:
        """The best node on which it fits now, those that are claimed left out; None: none."""
        left = [n for n in self._eligible(need) if n.seen.node not in claimed]
        fitting = [n for n in left if self.fits(n, need)]
        if not fitting:
            return None
        fitting = [n for n in fitting if self._leaves_floor(n, need)] or fitting
        sign = 1.0 if need.placement == "spread" else -1.0
        near = set(need.near)

        def order(node: Node) -> tuple[bool, float, float]:
            crowd = node.live / max(node.seen.cpus, 1.0)
            return node.seen.node not in near, sign * node.load, sign * crowd

        return min(fitting, key=order).seen.node

    def claim(self, need: Need, claimed: Collection[str] = ()) -> str | None:
        """The node that one who waits is to have next; None where all that serve are claimed."""
        left = [n for n in self._eligible(need) if n.seen.node not in claimed]
        left = [n for n in left if self._is_open(n, need)]
        return max(left, key=lambda n: n.unreserved_bytes).seen.node if left else None

    def fits(self, node: Node, need: Need) -> bool:
        """Whether it fits on that node now."""
        return (
            self._is_open(node, need)
            and node.has_unreserved(need)
            and (self._is_alone(node, need) or self._leaves_floor(node, need))
        )

    def refusal(self, need: Need) -> CodetetherError | None:
        """Why it can never be admitted; None if it can."""
        if self._could_ever(need, (*self._present(), *self._growth)):
            return None
        if need.node is not None and self._pinned(need.node) is None:
            return NodeLostError(need.agent, "its node is gone", need.node)
        return self._infeasible(need)

    def largest_bytes(self, need: Need) -> int:
        """The most memory that an agent in this one's place could be given."""
        nodes = self._present() if need.node is None else self._pinned_alone(need.node)
        fitting = (n for n in (*nodes, *self._growth) if set(need.labels) <= set(n.seen.labels))
        largest = max((n.seen.memory_bytes for n in fitting), default=0)
        return largest if self._most_bytes is None else min(largest, self._most_bytes)

    def reason(self, need: Need) -> str:
        """Why it would wait now, in words; empty if it fits."""
        nodes = self._eligible(need)
        if any(self.fits(node, need) for node in nodes):
            return ""
        if not nodes:
            return f"queued: waits for a node that has {wanted(need)}"
        awake = [n for n in nodes if self._is_open(n, need)]
        if not awake:
            node = nodes[0]
            why = "does not answer" if node.seen.is_silent else "is about to go"
            return f"queued: {node.seen.host or 'the node'} {why}"
        roomy = [n for n in awake if n.has_unreserved(need)]
        if roomy:
            node = max(roomy, key=lambda n: n.free_bytes)
            free, floor = size(node.free_bytes), size(self._floor_of(node))
            return f"queued: {free} of memory is free{_on(node)}, {floor} must stay free"
        node = max(awake, key=lambda n: n.unreserved_bytes)
        if need.memory_bytes > node.unreserved_bytes:
            free = size(node.unreserved_bytes)
            return f"queued: needs {size(need.memory_bytes)}, largest free {free}{_on(node)}"
        node = max(awake, key=lambda n: n.seen.cpus - n.cpus)
        free = f"{node.seen.cpus - node.cpus:g}"
        return f"queued: needs {need.cpus:g} CPUs, {free} are free{_on(node)}"

    # -- which nodes ------------------------------------------------------------------------------

    def _present(self) -> Sequence[Node]:
        return [node for node in self._nodes.values() if not node.is_gone]

    def _eligible(self, need: Need) -> Sequence[Node]:
        """Nodes that could hold it; those to avoid only where there is no other."""
        nodes = self._present() if need.node is None else self._pinned_alone(need.node)
        nodes = [node for node in nodes if node.could_hold(need)]
        if not need.avoid:
            return nodes
        return [n for n in nodes if n.seen.node not in need.avoid] or nodes

    def _pinned(self, id: str) -> Node | None:
        """The node of that id; an empty one means the only node there is."""
        node = self._nodes.get(id)
        if node is None and not id:
            present = self._present()
            node = present[0] if len(present) == 1 else None
        return None if node is None or node.is_gone else node

    def _pinned_alone(self, id: str) -> Sequence[Node]:
        node = self._pinned(id)
        return [] if node is None else [node]

    def _is_open(self, node: Node, need: Need) -> bool:
        """A node that is about to go takes what belongs to an agent that lives there."""
        return need.node is not None or not (node.seen.is_draining or node.seen.is_silent)

    def _is_alone(self, node: Node, need: Need) -> bool:
        """One agent may always run, however full the machine is."""
        return (self.live if need.node is None else node.live) == 0

    def _leaves_floor(self, node: Node, need: Need) -> bool:
        return node.free_bytes - need.memory_bytes >= self._floor_of(node)

    def _floor_of(self, node: Node) -> int:
        return max(self._floor, node.seen.floor_bytes)

    def _could_ever(self, need: Need, nodes: Iterable[Node]) -> bool:
        if self._most_bytes is not None and need.memory_bytes > self._most_bytes:
            return False
        if need.node is not None:
            nodes = self._pinned_alone(need.node)
        return any(node.could_hold(need) for node in nodes)

    def _infeasible(self, need: Need) -> InfeasibleError:
        nodes = self._present() if need.node is None else self._pinned_alone(need.node)
        labelled = [n for n in nodes if set(need.labels) <= set(n.seen.labels)]
        if not labelled:
            nearest = max(nodes, key=lambda n: n.seen.memory_bytes, default=None)
            host = nearest.seen.host if nearest else ""
            return InfeasibleError(f"a node with {wanted(need)}", "no such label", host)
        node = max(labelled, key=lambda n: n.seen.memory_bytes)
        most = self.largest_bytes(need)
        if need.memory_bytes > most:
            needs, largest = f"{size(need.memory_bytes)} of memory", size(most)
        else:
            node = max(labelled, key=lambda n: n.seen.cpus)
            needs, largest = f"{need.cpus:g} CPUs", f"{node.seen.cpus:g}"
        return InfeasibleError(needs, largest, node.seen.host)

    def _forget_unused(self, id: str, node: Node) -> None:
        if node.is_gone and not node.live:
            self._nodes.pop(id, None)


def _whole(capacity: Capacity) -> NodeCapacity:
    """All there is as one node, where there are none to choose from."""
    return NodeCapacity(
        node="",
        cpus=capacity.cpus,
        memory_bytes=capacity.memory_bytes,
        free_memory_bytes=capacity.free_memory_bytes,
        floor_bytes=capacity.floor_bytes,
    )


def _on(node: Node) -> str:
    return f" on {node.seen.host}" if node.seen.host else ""


def wanted(need: Need) -> str:
    """What a node must have, in words."""
    parts = [f"{name}={value}" for name, value in need.labels]
    parts += [f"{size(need.memory_bytes)} of memory"] if not parts and need.memory_bytes else []
    return ", ".join(parts) or f"{need.cpus:g} CPUs"


def size(amount: int) -> str:
    """Bytes for people: `1.1 GB`, `200 MB`."""
    if amount >= 1_000_000_000:
        return f"{amount / 1_000_000_000:.1f} GB".replace(".0 ", " ")
    return f"{max(amount, 0) / 1_000_000:.0f} MB"
