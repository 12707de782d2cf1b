from pathlib import Path

import pytest

from codetether_ray.actors import gateways
from codetether_ray.actors.gateways import cluster_behind
from codetether_ray.core.errors import ClusterError


@pytest.mark.parametrize("address", ["ray://10.0.0.5:10001", "http://10.0.0.5:8265"])
def test_an_address_stands_for_the_cluster_of_that_host(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"10.0.0.5:6379": "a", "10.0.0.6:6379": "b"}
    monkeypatch.setattr(gateways, "_joined_here", lambda: there)
    assert cluster_behind(address, tmp_path) == "10.0.0.5:6379"


def test_a_machine_that_is_no_node_is_told_how_to_become_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateways, "_joined_here", dict)
    with pytest.raises(ClusterError, match=r"no node of the cluster .* --address=10\.0\.0\.5:6379"):
        cluster_behind("http://10.0.0.5:8265", tmp_path)


def test_of_two_clusters_of_a_host_the_dashboard_tells_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"10.0.0.5:6379": "one", "10.0.0.5:6380": "two"}
    monkeypatch.setattr(gateways, "_joined_here", lambda: there)
    monkeypatch.setattr(gateways, "_session_of", lambda *_: "two")
    assert cluster_behind("http://10.0.0.5:8265", tmp_path) == "10.0.0.5:6380"
    monkeypatch.setattr(gateways, "_session_of", lambda *_: "")
    with pytest.raises(ClusterError, match=r"any of 10\.0\.0\.5:6379, 10\.0\.0\.5:6380"):
        cluster_behind("http://10.0.0.5:8265", tmp_path)
