"""One private Ray for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from codetether_ray.actors.cluster import Cluster, ClusterOptions
from codetether_ray.actors.services import Services, start_services
from tests.one_ray import one_ray


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    data_dir = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(data_dir))
        yield from _started(data_dir)


def _started(data_dir: Path) -> Iterator[Cluster]:
    options = ClusterOptions(
        data_dir=data_dir, address="local", log_path=data_dir / "ray.log", cpus=2
    )
    yield from one_ray(options)


@pytest.fixture(scope="session")
def services(cluster: Cluster) -> Services:
    return start_services(is_private=cluster.is_private)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"
