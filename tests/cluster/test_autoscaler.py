"""A cluster grows and shrinks with the queue: Ray's autoscaler is told what is needed."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.nodes import HEAD, Nodes

_ROOT = Path(__file__).parents[2]
_HEAD = f"{'f' * 51}00000"
"""What the autoscaler's provider believes that the head is called."""
_CONFIG = {
    "cluster_name": "grows",
    "max_workers": 2,
    "idle_timeout_minutes": 0.2,
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
    },
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
        "agents": {
            "resources": {"CPU": 2, "object_store_memory": 80_000_000},
            "node_config": {},
            "min_workers": 0,
            "max_workers": 2,
        },
    },
    "head_node_type": "ray.head.default",
    "upscaling_speed": 10,
    "auth": {"ssh_user": "nobody"},
    "file_mounts": {},
    "cluster_synced_files": [],
    "file_mounts_sync_continuously": False,
    "rsync_exclude": [],
    "rsync_filter": [],
    "docker": {},
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}


class Growing(Nodes):
    """A head whose autoscaler starts more nodes as processes beside it."""

    def _start_head(self) -> None:
        config = self.head.folder / "grows.yaml"
        config.write_text(json.dumps(_CONFIG))
        node = replace(self.head, env={**self.head.env, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": _HEAD})
        node.ray(
            *("start", "--head", "--port=6379", f"--node-ip-address={self.head.host.address}"),
            *(f"--temp-dir={self.head.temp}", "--include-log-monitor=false", "--num-cpus=1"),
            *("--memory=800000000", "--object-store-memory=80000000", "--disable-usage-stats"),
            *("--include-dashboard=false", f"--autoscaling-config={config}"),
        )


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[Nodes]:
    env = {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
    nodes = Growing.up(tmp_path, workers=(), RAY_enable_autoscaler_v2="0", **env)
    yield nodes
    nodes.close()


@pytest.mark.matrix
def test_a_cluster_grows_with_the_queue_and_shrinks_when_it_is_empty(growing: Nodes) -> None:
    env = {**growing.nodes[HEAD].env, "PYTHONPATH": f"{_ROOT}{os.pathsep}"}
    said = growing.head.host.run(
        sys.executable, "-m", "tests.cluster.grower", growing.address, env=env, timeout_s=400
    )
    grown, kept, shrunk = (json.loads(line) for line in said.splitlines() if line.startswith("{"))
    assert grown["alive"] == 3
    assert len(set(grown["nodes"])) == 3  # two of the four share a new node
    assert len(grown["told"]) == 3
    assert all(reason.startswith("queued: needs 1 CPUs, 0 are free on") for reason in grown["told"])
    assert kept["kept"] == sorted(set(grown["nodes"]))
    assert shrunk["shrunk_to"] == 1
