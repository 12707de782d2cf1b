"""Servers that `ingress.py` measures, each a process of its own: prints its ports, then serves.

`python scripts/bench/ingress_servers.py NAME`; ends with its input.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import uuid4

from codetether_ray.ingress.loop import new_loop

os.environ["OTEL_INSTRUMENTATION_A2A_SDK_ENABLED"] = "false"
ECHO = "codetether_ray.testing.echo:open_agents"
TICKS_S = 0.5


def tell(port: int, grpc_port: int, token: str = "", pid: int = 0) -> None:
    """Say where it is."""
    told = {"port": port, "grpc_port": grpc_port, "token": token, "pid": pid or os.getpid()}
    print(json.dumps(told), flush=True)


async def until_told() -> None:
    """Until the input ends."""
    await asyncio.to_thread(sys.stdin.read)


async def ours(*, memory: bool = False, agents: str = ECHO) -> None:
    """This project's ingress in one process."""
    from codetether_ray.bootstrap.heap import settle_heap
    from codetether_ray.bootstrap.truth.address import Address
    from codetether_ray.bootstrap.truth.place import truth_here
    from codetether_ray.bootstrap.truth.reach import Reach
    from codetether_ray.ingress import opening
    from codetether_ray.ingress.checks import settled
    from codetether_ray.ingress.listening import Listening
    from codetether_ray.ingress.options import IngressOptions
    from codetether_ray.stores.tokens import server_token_path

    if memory:
        opening.STORES = f"{__name__}:open_memory"
    folder = Path(tempfile.mkdtemp(prefix="ingress-"))
    options = settled(IngressOptions(port=0, grpc_port=0, agents=agents, data_dir=str(folder)))
    reach = Reach(address=Address(value="local"), truth=truth_here(folder))
    async with opening.opened_parts(options, reach) as parts:
        listening = await Listening.start(parts)
        settle_heap()
        token = server_token_path(folder).read_text("utf-8").strip()
        tell(listening.port, listening.grpc_port, token)
        await until_told()
        await listening.stop(0)


def open_memory(_: Any, __: Any) -> Any:
    """Stores that keep nothing."""
    from codetether_ray.local.memory_tasks import MemoryTasks
    from codetether_ray.local.task_channel import LocalTaskChannel

    return MemoryTasks(), LocalTaskChannel()


async def sdk() -> None:
    """The SDK's own handler with its memory store, under uvicorn and grpc.aio, nothing else."""
    import grpc
    import uvicorn
    from a2a.server.agent_execution import AgentExecutor
    from a2a.server.request_handlers import DefaultRequestHandler, GrpcHandler
    from a2a.server.routes import create_jsonrpc_routes
    from a2a.server.tasks import InMemoryTaskStore
    from a2a.types import (
        Artifact,
        Part,
        Task,
        TaskArtifactUpdateEvent,
        TaskState,
        TaskStatus,
        TaskStatusUpdateEvent,
    )
    from a2a.types.a2a_pb2_grpc import add_A2AServiceServicer_to_server
    from starlette.applications import Starlette

    from codetether_ray.a2a.cards import CardFacts, public_card
    from codetether_ray.ingress.sockets import bound

    class Echo(AgentExecutor):
        async def execute(self, context: Any, event_queue: Any) -> None:
            ids = {"task_id": context.task_id, "context_id": context.context_id}
            await event_queue.enqueue_event(
                Task(
                    id=context.task_id,
                    context_id=context.context_id,
                    status=TaskStatus(state=TaskState.TASK_STATE_SUBMITTED),
                    history=[context.message],
                )
            )
            echo = Artifact(
                artifact_id=uuid4().hex,
                name="response",
                parts=[Part(text=context.get_user_input())],
            )
            await event_queue.enqueue_event(
                TaskArtifactUpdateEvent(**ids, artifact=echo, last_chunk=True)
            )
            done = TaskStatus(state=TaskState.TASK_STATE_COMPLETED)
            await event_queue.enqueue_event(TaskStatusUpdateEvent(**ids, status=done))

        async def cancel(self, context: Any, event_queue: Any) -> None:
            """Nothing to cancel."""

    card = public_card(
        CardFacts(name="sdk", description="echo", version="1", url="http://x", grpc_address="x:1")
    )
    handler = DefaultRequestHandler(Echo(), InMemoryTaskStore(), card)
    sockets = bound("127.0.0.1", 0, shares=False)
    server = grpc.aio.server()
    add_A2AServiceServicer_to_server(GrpcHandler(handler), server)
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    app = Starlette(routes=create_jsonrpc_routes(handler, "/a2a", enable_v0_3_compat=True))
    config = uvicorn.Config(app, http="httptools", log_level="critical", access_log=False)
    serving = asyncio.create_task(uvicorn.Server(config).serve(sockets))
    tell(sockets[0].getsockname()[1], grpc_port)
    await until_told()
    await server.stop(None)
    serving.cancel()


async def replica() -> None:
    """This project's ingress as one replica on a Ray of its own."""
    from codetether_ray.actors.cluster import ClusterOptions, join_or_start
    from codetether_ray.bootstrap import tokens
    from codetether_ray.bootstrap.truth.address import Address
    from codetether_ray.bootstrap.truth.place import truth_here
    from codetether_ray.bootstrap.truth.reach import Reach
    from codetether_ray.ingress import serve_starting
    from codetether_ray.ingress.options import IngressOptions
    from codetether_ray.stores.tokens import server_token_path

    folder = Path(tempfile.mkdtemp(prefix="ingress-"))
    os.environ["CODETETHER_DATA_DIR"] = str(folder)
    cluster = await join_or_start(ClusterOptions(data_dir=folder, address="local"))
    try:
        truth = truth_here(folder)
        await tokens.settle(truth, {})
        reach = Reach(address=Address(value=cluster.address), truth=truth, cluster=cluster)
        options = IngressOptions(port=0, grpc_port=0, agents=ECHO)
        found = (await serve_starting.start(options, reach)).options
        token = server_token_path(folder).read_text("utf-8").strip()
        tell(found.port, found.grpc_port, token, _listener(found.port))
        await until_told()
        await serve_starting.stop()
    finally:
        await cluster.close()


def _listener(port: int) -> int:
    import psutil

    return next(
        one.pid or 0
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port
    )


async def bare() -> None:
    """An echo on Serve and nothing else; how requests reach it is said by variables."""
    import ray
    from fastapi import FastAPI
    from ray import serve

    app = FastAPI()

    @serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 0})
    @serve.ingress(app)
    class Bare:
        @app.post("/a2a")
        async def echo(self, body: dict[str, Any]) -> dict[str, Any]:
            return body

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": 8765})
    serve.run(Bare.bind())
    is_direct = os.environ.get("RAY_SERVE_ENABLE_DIRECT_INGRESS") == "1"
    has_haproxy = os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"
    tell(30000 if is_direct and not has_haproxy else 8765, 0)
    await until_told()
    serve.shutdown()
    ray.shutdown()


class TickingAgents:
    """Grows an artifact by a word every half second, for as many as the message says."""

    async def work(self, order: Any) -> AsyncIterator[Any]:
        """See `TaskAgents.work`."""
        from a2a.types import (
            Artifact,
            Part,
            TaskArtifactUpdateEvent,
            TaskState,
            TaskStatus,
            TaskStatusUpdateEvent,
        )

        ids = {"task_id": order.task.id, "context_id": order.task.context_id}
        for number in range(int(order.message.parts[0].text)):
            word = Artifact(artifact_id="ticks", parts=[Part(text="tick ")])
            yield TaskArtifactUpdateEvent(**ids, artifact=word, append=number > 0)
            await asyncio.sleep(TICKS_S)
        done = TaskStatus(state=TaskState.TASK_STATE_COMPLETED)
        yield TaskStatusUpdateEvent(**ids, status=done)

    async def cancel(self, _: Any) -> None:
        """It ends by itself."""

    async def close(self) -> None:
        """Nothing is open."""


def open_ticking(_: Any, __: Any) -> TickingAgents:
    """For the options."""
    return TickingAgents()


def _ticking() -> Coroutine[Any, Any, None]:
    sys.modules.setdefault("ingress_servers", sys.modules[__name__])
    return ours(agents="ingress_servers:open_ticking")


SERVERS: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
    "sdk": sdk,
    "ours, memory store": lambda: ours(memory=True),
    "ours, durable store": ours,
    "ours, a replica on Serve": replica,
    "bare": bare,
    "ticking": _ticking,
}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(SERVERS[sys.argv[1]]())
