"""What an answer costs through the ingress: JSON lines, ours beside the SDK's own server.

Cases: SendMessage with an echo agent over JSON-RPC and gRPC, in one process with a memory store and
with the durable one, and as a replica on Serve, `against` the SDK's server with its memory store
under uvicorn (goals: median <= 1.2x, throughput >= 0.9x, p99 <= 4x the median; durable <= 1.3x
memory); the echo of a bare Serve application by the default proxy, by direct ingress and (where
`haproxy` is installed) by HAProxy; time to a stream's first event; and `--soak` seconds of 100 SSE
and 100 gRPC streams at once: drops, and how memory grows. Rounds of all servers take turns, so that
load of the machine hits all alike. `--soak 0` leaves the last one out.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import psutil
from a2a.types import Message, Part, Role, SendMessageRequest
from a2a.types.a2a_pb2_grpc import A2AServiceStub

_SERVERS = Path(__file__).with_name("ingress_servers.py")
_STARTS_S = 120
_TICKS_S = 0.5
_STREAMS = 100
_VERSION = ("a2a-version", "1.0")
DIRECT = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1"}
HAPROXY = {"RAY_SERVE_ENABLE_HA_PROXY": "1"}


@dataclass(frozen=True)
class Server:
    """One that runs."""

    port: int
    grpc_port: int
    token: str
    pid: int


@dataclass
class Found:
    """Seconds of answers, and of rounds."""

    answers: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def add(self, answers: list[float], took_s: float) -> None:
        """One round."""
        self.answers += answers
        self.rates.append(len(answers) / took_s)

    def quantile(self, share: float) -> float:
        """Milliseconds that this share of answers took at most."""
        ordered = sorted(self.answers)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000

    @property
    def rate(self) -> float:
        """Answers a second, the median of rounds."""
        return statistics.median(self.rates)


@contextlib.asynccontextmanager
async def server(name: str, **env: str) -> AsyncIterator[Server]:
    """A server of `ingress_servers.py`."""
    process = subprocess.Popen(
        [sys.executable, str(_SERVERS), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | env,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        async with asyncio.timeout(_STARTS_S):
            line = await asyncio.to_thread(process.stdout.readline)
        yield Server(**json.loads(line))
    finally:
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, 60)
        process.kill()


def body(text: str, method: str = "SendMessage") -> bytes:
    """A JSON-RPC request."""
    message = {"messageId": uuid4().hex, "role": "ROLE_USER", "parts": [{"text": text}]}
    params = {"message": message}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def request(text: str) -> SendMessageRequest:
    """The same for gRPC."""
    message = Message(message_id=uuid4().hex, role=Role.ROLE_USER, parts=[Part(text=text)])
    return SendMessageRequest(message=message)


class Connection:
    """One HTTP connection, with as little of a client as will do."""

    def __init__(self, to: Server) -> None:
        self._to = to
        self._reader: Any = None
        self._writer: Any = None

    async def send(self, content: bytes) -> None:
        """Send a request."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._to.port)
        head = (
            "POST /a2a HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"a2a-version: 1.0\r\nauthorization: Bearer {self._to.token or 'none'}\r\n"
            f"content-length: {len(content)}\r\n\r\n"
        )
        self._writer.write(head.encode() + content)

    async def answer(self) -> bytes:
        """Read a whole answer that says its length."""
        head = await self._head()
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        content: bytes = await self._reader.readexactly(length)
        return content

    async def events(self) -> AsyncIterator[bytes]:
        """The data lines of a stream."""
        await self._head()
        while line := await self._reader.readline():
            if line.startswith(b"data:"):
                yield line
            elif line == b"0\r\n":
                return

    def close(self) -> None:
        """Close it."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _head(self) -> bytes:
        head: bytes = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.split(b"\r\n")[0].decode())
        return head


Work = Callable[[], Coroutine[Any, Any, None]]


async def timed(workers: list[Work], each: int) -> tuple[list[float], float]:
    """Every worker's work `each` times, all at once: how long each took, and the whole."""
    answers: list[float] = []

    async def one(work: Work) -> None:
        for _ in range(each):
            began = time.perf_counter()
            await work()
            answers.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(one(work) for work in workers))
    return answers, time.perf_counter() - began


def by_http(connection: Connection) -> Work:
    """SendMessage over JSON-RPC."""

    async def work() -> None:
        await connection.send(body("hello"))
        if b"hello" not in await connection.answer():
            raise RuntimeError("no echo")

    return work


def by_grpc(stub: Any, metadata: Any) -> Work:
    """SendMessage over gRPC."""

    async def work() -> None:
        answer = await stub.SendMessage(request("hello"), metadata=metadata)
        if answer.task.artifacts[0].parts[0].text != "hello":
            raise RuntimeError("no echo")

    return work


def first_event(to: Server) -> Work:
    """From a request to the first event of its stream; then the stream is left."""

    async def work() -> None:
        connection = Connection(to)
        await connection.send(body("hello", "SendStreamingMessage"))
        async for _ in connection.events():
            break
        connection.close()

    return work


def metadata_of(to: Server) -> tuple[tuple[str, str], ...]:
    """For RPCs."""
    return (_VERSION, ("authorization", f"Bearer {to.token}")) if to.token else (_VERSION,)


async def compare(options: argparse.Namespace) -> None:
    """SendMessage of all servers, in turns."""
    names = ["sdk", "ours, memory store", "ours, durable store", "ours, a replica on Serve"]
    found: dict[tuple[str, str], Found] = {}
    async with contextlib.AsyncExitStack() as stack:
        cases: dict[tuple[str, str], list[Work]] = {}
        opened: list[Connection] = []
        for name in names:
            to = await stack.enter_async_context(server(name))
            connections = [Connection(to) for _ in range(options.at_once)]
            opened += connections
            channel = await stack.enter_async_context(
                grpc.aio.insecure_channel(f"127.0.0.1:{to.grpc_port}")
            )
            stub: Any = A2AServiceStub(channel)
            cases[name, "JSON-RPC"] = [by_http(one) for one in connections]
            cases[name, "gRPC"] = [by_grpc(stub, metadata_of(to))] * options.at_once
            cases[name, "first event"] = [first_event(to)] * 4
        for _ in range(options.rounds + 1):
            for case, workers in cases.items():
                answers, took_s = await timed(workers, options.requests // len(workers))
                for connection in opened:  # servers end those that are idle for long
                    connection.close()
                if case in found:
                    found[case].add(answers, took_s)
                else:
                    found[case] = Found()  # the first round warms up
    for transport in ("JSON-RPC", "gRPC", "first event"):
        for name in names[1:]:
            say(f"{transport}, {name}", found[name, transport], found["sdk", transport])
        durable = found["ours, durable store", transport]
        say(f"{transport}, durable to memory", durable, found["ours, memory store", transport])


async def bare(options: argparse.Namespace) -> None:
    """The echo of a bare Serve application, by each of Serve's ways."""
    ways = {"default proxy": {}, "direct ingress": DIRECT}
    if shutil.which("haproxy"):
        ways["HAProxy"] = HAPROXY
    for way, env in ways.items():
        found = Found()
        async with server("bare", **env) as to:
            workers = [by_http(Connection(to)) for _ in range(options.at_once)]
            await timed(workers, 10)
            for _ in range(options.rounds):
                found.add(*await timed(workers, options.requests // options.at_once))
        say(f"bare Serve echo, {way}", found, None)


async def soak(seconds: float) -> None:
    """100 SSE and 100 gRPC streams at once: events that came, and the server's memory."""
    ticks = int(seconds / _TICKS_S)
    async with server("ticking") as to:
        process = psutil.Process(to.pid)
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{to.grpc_port}")
        stub: Any = A2AServiceStub(channel)
        metadata = metadata_of(to)

        async def sse() -> int:
            connection, count = Connection(to), 0
            await connection.send(body(str(ticks), "SendStreamingMessage"))
            async for line in connection.events():
                count += b'"artifactUpdate"' in line
            connection.close()
            return count

        async def rpc() -> int:
            count = 0
            calling = stub.SendStreamingMessage(request(str(ticks)), metadata=metadata)
            async for event in calling:
                count += event.HasField("artifact_update")
            return count

        streams = [asyncio.create_task(work()) for work in [sse, rpc] * _STREAMS]
        samples: list[tuple[float, float]] = []
        began = time.perf_counter()
        while not all(one.done() for one in streams):
            samples.append((time.perf_counter() - began, process.memory_info().rss / 1e6))
            await asyncio.sleep(1)
        counts = await asyncio.gather(*streams, return_exceptions=True)
        await channel.close()
    settled = samples[len(samples) // 3 :]  # the rest is warming up
    slope = statistics.linear_regression(*zip(*settled, strict=True)).slope if settled[1:] else 0
    line = {
        "bench": "ingress",
        "case": f"{_STREAMS} SSE and {_STREAMS} gRPC streams for {seconds:g} s",
        "unit": "streams that dropped",
        "ours": sum(isinstance(one, BaseException) for one in counts),
        "events_missing": sum(ticks - one for one in counts if isinstance(one, int)),
        "memory_mb": round(samples[-1][1], 1),
        "memory_mb_per_minute": round(slope * 60, 2),
    }
    print(json.dumps(line), flush=True)


def say(case: str, ours: Found, against: Found | None) -> None:
    """One line."""
    middle, late = ours.quantile(0.5), ours.quantile(0.99)
    line: dict[str, Any] = {
        "bench": "ingress",
        "case": case,
        "unit": "ms, median",
        "ours": round(middle, 2),
        "p99": round(late, 2),
        "p99_to_median": round(late / middle, 2),
        "per_s": round(ours.rate),
    }
    if against is not None:
        line |= {
            "against": round(against.quantile(0.5), 2),
            "ratio": round(middle / against.quantile(0.5), 3),
            "against_per_s": round(against.rate),
            "throughput_ratio": round(ours.rate / against.rate, 3),
        }
    print(json.dumps(line), flush=True)


async def main() -> None:
    """All cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--soak", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--no-bare", action="store_true", help="leave bare Serve out")
    options = parser.parse_args()
    await compare(options)
    if not options.no_bare:
        await bare(options)
    if options.soak:
        await soak(options.soak)


if __name__ == "__main__":
    asyncio.run(main())
