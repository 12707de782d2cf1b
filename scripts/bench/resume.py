"""Time to go on with a long session: open its journal, fold it, send the first request.

    python scripts/bench/resume.py [STEPS …]

A session of so many steps was cut off behind its last tool result; each step is a request, an
answer that calls a tool, the call's start and 10 KB of result. Measured from nothing but the files
to the moment when a server has the whole next request, in a process whose modules are loaded.
Against it: reading the same bytes and parsing each line as JSON, the least that anybody must do.
"""

import asyncio
import hashlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from aiohttp import web

from codetether_ray.bootstrap.agents import close_process
from codetether_ray.bootstrap.home import HomeTerms, open_local_home
from codetether_ray.core.events import (
    AgentStarted,
    Event,
    ModelRequested,
    ModelResponded,
    Record,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)
from codetether_ray.core.messages import ToolCall, ToolResult, assistant, user
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.core.usage import Budget, Usage
from codetether_ray.journal.segments import list_segments, run_directory
from codetether_ray.local.journal import LocalJournal

RUN = "ses_0000000000_00000000"
WHERE = Correlation(run_id=RUN, session_id=RUN)
TASK = user("Look at everything.")
_OUTPUT = 9_400
_LIMIT_S = 1.0
ROUNDS = 5


class Model:
    """A server that notes when it has a request, and ends the turn."""

    def __init__(self) -> None:
        self.asked: asyncio.Future[tuple[float, int]] = asyncio.get_running_loop().create_future()
        self.url = ""
        self.cpu = 0.0

    async def start(self) -> web.AppRunner:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/v1/chat/completions", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self.url = f"http://127.0.0.1:{port}/v1"
        return runner

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.cpu = time.process_time()
        self.asked.set_result((time.perf_counter(), len(body)))
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        choice = {"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}
        piece = {"id": "1", "model": "bench", "choices": [choice]}
        await answer.write(f"data: {json.dumps(piece)}\n\ndata: [DONE]\n\n".encode())
        return answer


def _spec(directory: Path, url: str) -> AgentSpec:
    return AgentSpec(
        path="main",
        kind="main",
        name="main",
        model="local/bench",
        base_url=url,
        context_window=100_000_000,
        max_steps=1_000_000,
        max_tool_calls=1_000_000,
        root=str(directory / "work"),
        correlation=WHERE,
        data_dir=str(directory / "data"),
    )


def _events(spec: AgentSpec, steps: int) -> list[Event]:
    """A session that was cut off behind its last result."""
    events: list[Event] = [
        AgentStarted(spec=spec, system="You help.", tools=(), prefix_digest=""),
        TurnStarted(turn=0, message=TASK),
    ]
    for step in range(steps):
        call = ToolCall(id=f"call_{step}", name="bash", arguments=json.dumps({"command": step}))
        text = f"{step} " + f"line {step}: some words of output\n" * (_OUTPUT // 32)
        response = ModelResponse(
            message=assistant(f"Step {step}.", call),
            finish_reason="tool_calls",
            usage=Usage(prompt_tokens=100, completion_tokens=10),
            cost_usd=0.0,
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        asked = ModelRequested(
            step=step, attempt=0, model="bench", digest=digest, messages=2 * step + 1
        )
        events += [
            asked,
            ModelResponded(step=step, response=response, elapsed_ms=10),
            ToolStarted(step=step, call=call, effect="execute"),
            ToolFinished(step=step, result=ToolResult(call_id=call.id, name="bash", content=text)),
        ]
    return events


async def _write(directory: Path, spec: AgentSpec, steps: int) -> int:
    journal = await LocalJournal.open(directory / "data", RUN, WHERE)
    events = _events(spec, steps)
    for at in range(0, len(events), 500):
        await journal.append(
            [
                Record(correlation=WHERE, agent="main", event=event, time=1.7e9)
                for event in events[at : at + 500]
            ]
        )
    await journal.close()
    return sum(s.path.stat().st_size for s in list_segments(run_directory(directory / "data", RUN)))


async def _resume(steps: int) -> tuple[float, int, float, float]:
    """Seconds until the next request is there, bytes of the journal, seconds of parsing, CPU."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "work").mkdir()
        model = Model()
        runner = await model.start()
        spec = _spec(directory, model.url)
        size = await _write(directory, spec, steps)
        (segment,) = list_segments(run_directory(directory / "data", RUN))
        started = time.perf_counter()
        for line in segment.path.read_bytes().splitlines():
            json.loads(line)
        parsing = time.perf_counter() - started

        started, cpu = time.perf_counter(), time.process_time()
        terms = HomeTerms(correlation=WHERE, data_dir=directory / "data", budget=Budget())
        home = await open_local_home(terms)
        result = await home.runtime.run(spec, TASK)
        assert result.is_success, result
        asked, sent = await model.asked
        assert sent > size * 0.8, "the whole conversation is sent"
        await home.close()
        await runner.cleanup()
        return asked - started, size, parsing, model.cpu - cpu


async def _cases(sizes: list[int]) -> None:
    await _resume(10)
    for steps in sizes:
        rounds = [await _resume(steps) for _ in range(ROUNDS)]
        seconds = statistics.median(r[0] for r in rounds)
        parsing = statistics.median(r[2] for r in rounds)
        size = rounds[0][1] / 1e6
        case = f"a session of {steps} steps, {size:.1f} MB"
        _print(case, "s", seconds, {"limit": _LIMIT_S}, seconds / _LIMIT_S)
        _print(
            case, "s", seconds, {"json.loads of each line": round(parsing, 3)}, seconds / parsing
        )
        _print(f"{case}: per MB", "s", seconds / size, {}, 0.0)
        cpu = statistics.median(r[3] for r in rounds)
        _print(f"{case}: CPU, the server's included", "s", cpu, {"limit": _LIMIT_S}, cpu / _LIMIT_S)
    await close_process()


def _print(case: str, unit: str, ours: float, against: dict[str, float], ratio: float) -> None:
    row = {
        "bench": "resume",
        "case": case,
        "unit": unit,
        "ours": round(ours, 4),
        "against": against,
        "ratio": round(ratio, 2) if against else None,
    }
    print(json.dumps(row), flush=True)


def main() -> None:
    """Print the cases."""
    asyncio.run(_cases([int(a) for a in sys.argv[1:]] or [100, 1000, 2000]))


if __name__ == "__main__":
    main()
