"""One private Ray for all tests of this folder."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from codetether_ray.actors.cluster import Cluster, ClusterOptions
from tests.ingress.scene import Served, served
from tests.one_ray import one_ray


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the cluster's processes; their data directory is in it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def head_data_dir(home: Path) -> Path:
    return home / "data"


@pytest.fixture(scope="session")
def cluster(home: Path, head_data_dir: Path) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("CODETETHER_DATA_DIR", str(head_data_dir))
        options = ClusterOptions(
            data_dir=head_data_dir, address="local", log_path=home / "ray.log", cpus=4
        )
        made = one_ray(options)
        started = next(made)
    yield started
    next(made, None)


@pytest.fixture(scope="module")
def two(cluster: Cluster, head_data_dir: Path) -> Iterator[Served]:
    """Two replicas whose agents count. A cluster has one ingress at a time."""
    with asyncio.Runner() as runner:
        made = served(cluster, head_data_dir, replicas=2)
        yield runner.run(made.__aenter__())
        runner.run(made.__aexit__(None, None, None))
