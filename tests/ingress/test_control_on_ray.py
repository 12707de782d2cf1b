"""A swarm that is ordered over the network lives on the cluster, and needs no ingress to go on."""

import asyncio
import json
from pathlib import Path

import pytest

from codetether_ray.actors.cluster import Cluster
from codetether_ray.bootstrap.truth.address import Address
from codetether_ray.bootstrap.truth.place import find_truth
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.testing.model_server import ModelServer
from tests.adapters.control.conftest import bundled
from tests.adapters.control.scene import events, opened
from tests.e2e.swarm_scene import TASK, SwarmModel, make_repository


@pytest.mark.matrix
async def test_it_goes_on_when_the_ingress_is_gone_and_is_followed_through_another(
    cluster: Cluster, head_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODETETHER_DATA_DIR", str(head_data_dir))
    project = tmp_path / "project"
    project.mkdir()
    make_repository(project)
    truth = await find_truth(head_data_dir, cluster.address)
    reach = Reach(address=Address(value=cluster.address), truth=truth, cluster=cluster)
    async with ModelServer(SwarmModel()) as model:
        monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", model.url)
        async with opened(head_data_dir, reach) as plane:
            token = await plane.token_of("alice", "admin")
            _, came = await plane.ask("POST", "/v1/bundles", token, data=bundled(project))
            order = {"task": TASK, "repository": {"bundle": came["id"]}, "model": "local/m"}
            status, started = await plane.ask("POST", "/v1/swarms", token, json=order)
            assert status == 202, started
        async with opened(head_data_dir, reach) as plane, asyncio.timeout(180):
            seen = await events(plane, started["links"]["events"], token)
            _, run = await plane.ask("GET", started["links"]["run"], token)
            async with plane.session.get(
                f"{plane.url}{started['links']['bundle']}",
                headers={"Authorization": f"Bearer {token}"},
            ) as answer:
                assert (answer.status, (await answer.read())[:15]) == (200, b"# v2 git bundle")
    assert json.loads(seen[-1]["data"])["outcome"] == "success", seen[-3:]
    assert (run["principal"], run["result"]["success"]) == ("alice", True)
