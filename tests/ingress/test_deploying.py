"""The ingress is deployed by Serve's own config file, and beside what Serve runs already."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from ray import serve

from codetether_ray.actors.cluster import Cluster
from codetether_ray.core.errors import ClusterError, PortTakenError, ServesAlreadyError
from codetether_ray.ingress import serve_starting
from codetether_ray.ingress.checks import settled
from codetether_ray.ingress.options import IngressOptions
from tests.ingress.scene import COUNTING, call, message, served

CONFIG = Path(__file__).parents[2] / "serve.yaml"


def deploy(options: IngressOptions) -> None:
    """What `serve deploy serve.yaml` does, on other ports."""
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    values = yaml.safe_load(CONFIG.read_text("utf-8"))
    assert values["proxy_location"] == "Disabled"
    arguments = values["applications"][0]["args"]
    arguments |= {"port": options.port, "grpc_port": options.grpc_port, "agents": COUNTING}
    serve.start(proxy_location=values["proxy_location"])
    _get_global_client().deploy_apps(ServeDeploySchema.model_validate(values), _blocking=True)


@pytest.mark.matrix
async def test_serve_s_config_file_deploys_it(cluster: Cluster) -> None:
    chosen = settled(IngressOptions(port=0, grpc_port=0))
    try:
        await asyncio.to_thread(deploy, chosen)
        found = await serve_starting.find()
        assert found is not None
        assert found.is_well
        assert (found.replicas, found.options.port) == (2, chosen.port)
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{chosen.port}/ready")
            assert answer.text == "ready"
    finally:
        assert await serve_starting.stop() is not None
    assert await serve_starting.find() is None


@serve.deployment
class Other:
    """Somebody else's application."""

    async def __call__(self, _: Any) -> str:
        return "other"


@pytest.mark.matrix
async def test_it_runs_beside_an_application_behind_serve_s_proxies_and_not_behind_them(
    cluster: Cluster, head_data_dir: Path
) -> None:
    port = settled(IngressOptions(port=0, grpc_port=0)).port
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    await asyncio.to_thread(serve.run, Other.bind(), name="other", route_prefix="/other")
    try:
        async with served(cluster, head_data_dir) as door, door.client() as client:
            assert "message" in await call(client, "SendMessage", message("who"))
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as other:
                assert (await other.get("/other")).text == "other"
                for path in ("/health", "/a2a", "/", "/api/version"):
                    assert (await other.get(path)).status_code == 404
        assert list(serve.status().applications) == ["other"]
    finally:
        await asyncio.to_thread(serve.shutdown)


@pytest.mark.matrix
async def test_a_second_one_is_told_what_runs_and_one_with_the_same_settings_is_content(
    cluster: Cluster, head_data_dir: Path
) -> None:
    async with served(cluster, head_data_dir) as door:
        has = door.serving.options
        again = await serve_starting.start(has, door.reach)
        assert (again.is_new, again.options) == (False, has)
        other = IngressOptions(port=0, grpc_port=0, agents=COUNTING, name="Another")
        with pytest.raises(ServesAlreadyError, match="name") as refused:
            await serve_starting.start(other, door.reach)
        assert str(has.port) in str(refused.value)
        assert "codetether serve stop" in str(refused.value)
        assert (await serve_starting.find()) is not None


@pytest.mark.matrix
async def test_what_cannot_start_is_told_in_a_sentence_and_leaves_nothing(
    cluster: Cluster, head_data_dir: Path
) -> None:
    with pytest.raises(ClusterError, match="nowhere"):
        async with served(cluster, head_data_dir, agents="nowhere:at_all"):
            pass
    assert await serve_starting.find() is None
    async with served(cluster, head_data_dir) as door:
        pass
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(PortTakenError, match=str(port)):
            await serve_starting.start(IngressOptions(port=port, agents=COUNTING), door.reach)
