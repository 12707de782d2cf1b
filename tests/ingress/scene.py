"""One ingress of several replicas on the session's cluster, and clients of a certain replica."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil

from codetether_ray.actors.cluster import Cluster
from codetether_ray.bootstrap import tokens
from codetether_ray.bootstrap.truth.address import Address
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.ingress import serve_starting
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.serve_starting import Serving
from codetether_ray.stores.tokens import server_token_path

COUNTING = "tests.ingress.agents:open_agents"
_TRIES = 200


@dataclass(frozen=True, kw_only=True)
class Served:
    """An ingress that answers."""

    serving: Serving
    token: str
    reach: Reach

    @property
    def url(self) -> str:
        """Of its HTTP servers."""
        return f"http://127.0.0.1:{self.serving.options.port}"

    @property
    def grpc(self) -> str:
        """Where its gRPC servers are."""
        return f"127.0.0.1:{self.serving.options.grpc_port}"

    def client(self) -> httpx.AsyncClient:
        """A client with one connection, which one replica has."""
        headers = {"authorization": f"Bearer {self.token}", "a2a-version": "1.0"}
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60, limits=limits)

    def pids(self) -> set[int]:
        """The processes that listen on its port."""
        return {
            one.pid
            for one in psutil.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN
            and one.laddr.port == self.serving.options.port
            and one.pid is not None
        }

    @asynccontextmanager
    async def clients_of(
        self, *, other_than: int = 0
    ) -> AsyncIterator[tuple[int, httpx.AsyncClient]]:
        """A client of a replica that is not the process `other_than`; and that replica's."""
        async with AsyncExitStack() as stack:
            for _ in range(_TRIES):
                client = await stack.enter_async_context(self.client())
                try:
                    answer = await call(client, "SendMessage", message("who"))
                except httpx.TransportError:  # it reached one that has just been killed
                    continue
                pid = int(text_of(answer["message"]))
                if pid != other_than:
                    yield pid, client
                    return
            raise AssertionError(f"every connection reaches process {other_than}")


@asynccontextmanager
async def served(cluster: Cluster, data_dir: Path, **options: Any) -> AsyncIterator[Served]:
    """An ingress on the cluster, ended at the end."""
    truth = truth_here(data_dir)
    reach = Reach(address=Address(value=cluster.address), truth=truth, cluster=cluster)
    await tokens.settle(truth, {})
    chosen = IngressOptions(**{"port": 0, "grpc_port": 0, "agents": COUNTING, **options})
    serving = await serve_starting.start(chosen, reach)
    try:
        token = server_token_path(data_dir).read_text("utf-8").strip()
        yield Served(serving=serving, token=token, reach=reach)
    finally:
        await serve_starting.stop()


def message(text: str, **more: Any) -> dict[str, Any]:
    """Parameters of SendMessage."""
    said = {"messageId": uuid4().hex, "role": "ROLE_USER", "parts": [{"text": text}]}
    return {"message": said | more}


def text_of(holder: dict[str, Any]) -> str:
    """All text of a message's or an artifact's parts."""
    return "".join(part["text"] for part in holder["parts"])


def request(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """A JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def call(client: httpx.AsyncClient, method: str, params: dict[str, Any]) -> Any:
    """The result of a JSON-RPC method."""
    answer = await client.post("/a2a", json=request(method, params))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert "result" in told, told
    return told["result"]


async def stream(
    client: httpx.AsyncClient, method: str, params: dict[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """The results of a streaming JSON-RPC method; a torn stream just ends."""
    try:
        async with client.stream("POST", "/a2a", json=request(method, params)) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    told = json.loads(line[5:])
                    assert "result" in told, told
                    yield told["result"]
    except (httpx.ReadError, httpx.RemoteProtocolError):
        return


class Seen:
    """What a client knows of a task after some events: its artifact's text, its state."""

    def __init__(self) -> None:
        self.task_id = ""
        self.text = ""
        self.state = ""

    def take(self, event: dict[str, Any]) -> None:
        """One event of a stream."""
        if "task" in event:
            task = event["task"]
            self.task_id, self.state = task["id"], task["status"]["state"]
            self.text = "".join(text_of(one) for one in task.get("artifacts", []))
        elif "artifactUpdate" in event:
            update = event["artifactUpdate"]
            text = text_of(update["artifact"])
            self.text = self.text + text if update.get("append") else text
        elif "statusUpdate" in event:
            self.state = event["statusUpdate"]["status"]["state"]


def counted(number: int) -> str:
    """What the agent has said once it counted to the end."""
    return "".join(f"{one} " for one in range(number))
