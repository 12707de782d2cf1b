"""A Ray cluster of a head and two workers for all tests of this folder; see `nodes`."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from codetether_ray.testing.hosts import why_not
from tests.cluster.nodes import Nodes

_WORKERS = 2
_has_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.session.stash[_has_failed] = True
    return report


class _Kept:
    """The cluster that the tests share."""

    def __init__(self, make_folder: pytest.TempPathFactory) -> None:
        self._make_folder = make_folder
        self._nodes: Nodes | None = None

    def nodes(self) -> Nodes:
        if self._nodes is None:
            folder: Path = self._make_folder.mktemp("nodes")
            self._nodes = Nodes.up(folder, CODETETHER_LEASE_S="10")
        return self._nodes

    def close(self) -> None:
        if self._nodes is not None:
            self._nodes.close()
            self._nodes = None


@pytest.fixture(scope="session")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Kept]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    kept = _Kept(tmp_path_factory)
    yield kept
    kept.close()


@pytest.fixture
def nodes(_kept: _Kept, request: pytest.FixtureRequest) -> Nodes:
    """Three nodes; what an earlier test lost is made up for by fresh ones.

    After a test that failed the cluster is made anew: what that left says nothing of the next one.
    """
    if request.session.stash.get(_has_failed, False):
        request.session.stash[_has_failed] = False
        _kept.close()
    nodes = _kept.nodes()
    while len(nodes.nodes) < 1 + _WORKERS:
        nodes.add()
    return nodes
