"""The cluster of this folder is what its tests take it for."""

import time

import pytest

from tests.cluster.nodes import HEAD, Nodes

pytestmark = pytest.mark.matrix  # tens of seconds each: some of them in each run of the suite


def test_nodes_share_no_directory_and_can_be_lost(nodes: Nodes) -> None:
    assert set(nodes.alive()) == set(nodes.nodes)
    for node in nodes.nodes.values():
        (node.home / "mine").write_text(node.host.name)
    for name, node in nodes.nodes.items():
        for other in nodes.nodes.values():
            seen = node.host.run("ls", str(other.folder))
            assert ("home" in seen) == (other is node), (name, other.host.name)
    lost = next(name for name in nodes.nodes if name != HEAD)
    node = nodes.nodes[lost]
    assert node.host.processes()
    nodes.lose(lost)
    assert not node.host.processes()
    assert not node.folder.exists()
    until_alive(nodes, set(nodes.nodes))


def test_a_node_that_is_cut_off_is_missed(nodes: Nodes) -> None:
    name = next(name for name in nodes.nodes if name != HEAD)
    pids = nodes.nodes[name].host.processes()
    nodes.nodes[name].host.cut()
    until_alive(nodes, set(nodes.nodes) - {name})
    assert set(nodes.nodes[name].host.processes()) & set(pids)  # it lives, and is not heard
    nodes.lose(name)


def until_alive(nodes: Nodes, names: set[str]) -> None:
    """Wait until the head believes that exactly these are alive."""
    deadline = time.monotonic() + 60
    while set(nodes.alive()) != names:
        assert time.monotonic() < deadline, nodes.alive()
