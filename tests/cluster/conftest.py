"""A Ray cluster of a head and two workers for all tests of this folder; see `nodes`."""

from collections.abc import Iterator

import pytest

from codetether_ray.testing.hosts import why_not
from tests.cluster.nodes import Nodes

_WORKERS = 2


@pytest.fixture(scope="session")
def _nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    nodes = Nodes.up(tmp_path_factory.mktemp("nodes"), CODETETHER_LEASE_S="10")
    yield nodes
    nodes.close()


@pytest.fixture
def nodes(_nodes: Nodes) -> Nodes:
    """Three nodes; what an earlier test lost is made up for by fresh ones."""
    while len(_nodes.nodes) < 1 + _WORKERS:
        _nodes.add()
    return _nodes
