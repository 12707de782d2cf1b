"""A small swarm's records, as its journal would hold them."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from codetether_ray.core import events as e
from codetether_ray.core.events import Event, Record
from codetether_ray.core.messages import ToolCall, ToolResult, assistant, user
from codetether_ray.core.models import ModelResponse, ToolSchema
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.core.usage import Usage

RUN = "swm_0mbx1c2d3e_5f60718a"
MODEL = "anthropic/claude-x"
SECRET = "sk-ant-nobody-may-read-this"
BEGAN = 1_790_000_000.0

CORRELATION = Correlation(run_id=RUN, swarm_id=RUN)


class Story:
    """Writes records, a second apart."""

    def __init__(self, run_id: str = RUN) -> None:
        self._correlation = Correlation(run_id=run_id)
        self._numbers = count()
        self.now = BEGAN

    def tell(self, agent: str, event: Event, after_s: float = 1.0) -> Record:
        """One more record."""
        self.now += after_s
        return Record(
            correlation=self._correlation,
            agent=agent,
            event=event,
            time=self.now,
            seq=next(self._numbers),
        )


def spec(path: str, kind: str = "subagent") -> AgentSpec:
    return AgentSpec(
        path=path,
        kind=kind,  # type: ignore[arg-type]
        name=path.rpartition("/")[2],
        model=MODEL,
        root="/secret/place",
        correlation=CORRELATION,
        instructions=SECRET,
    )


def started(path: str, kind: str = "subagent") -> e.AgentStarted:
    tools = tuple(
        ToolSchema(name=name, description="", parameters={}) for name in ("bash", "write_file")
    )
    return e.AgentStarted(spec=spec(path, kind), system=SECRET, tools=tools)


def asked(step: int, attempt: int = 0) -> e.ModelRequested:
    return e.ModelRequested(step=step, attempt=attempt, model=MODEL, digest="", messages=1)


def answered(step: int, *calls: ToolCall, cost: float | None = 0.25) -> e.ModelResponded:
    usage = Usage(prompt_tokens=100, completion_tokens=10, cache_read_tokens=40, reasoning_tokens=4)
    response = ModelResponse(
        message=assistant(SECRET, *calls),
        finish_reason="tool_calls" if calls else "stop",
        usage=usage,
        cost_usd=cost,
        response_id=f"msg_{step}",
    )
    return e.ModelResponded(step=step, response=response, elapsed_ms=1500)


def call(number: int, name: str = "bash") -> ToolCall:
    return ToolCall(id=f"call_{number}", name=name, arguments=f'{{"command": "{SECRET}"}}')


def finished(number: int, name: str = "bash", *, is_error: bool = False) -> e.ToolFinished:
    result = ToolResult(call_id=f"call_{number}", name=name, content=SECRET, is_error=is_error)
    return e.ToolFinished(step=0, result=result, elapsed_ms=500)


def done(outcome: str = "completed") -> e.TurnFinished:
    usage = Usage(prompt_tokens=200, completion_tokens=20)
    result = TurnResult(
        outcome=outcome,  # type: ignore[arg-type]
        text=SECRET,
        usage=usage,
        cost_usd=0.5,
        steps=2,
        tool_calls=1,
        elapsed_s=7.5,
    )
    return e.TurnFinished(turn=0, result=result)


def agent_turn(story: Story, path: str) -> Iterator[Record]:
    """An agent that asks, runs a command, asks again, ends."""
    yield story.tell(path, started(path))
    yield story.tell(path, e.AgentPlaced(attempt=0, host="node-1", node="ab12", took_ms=120))
    yield story.tell(path, e.TurnStarted(turn=0, message=user(SECRET)))
    yield story.tell(path, asked(0))
    yield story.tell(path, answered(0, call(1)))
    yield story.tell(path, e.ToolStarted(step=0, call=call(1), effect="shell"))
    yield story.tell(path, finished(1))
    yield story.tell(path, asked(1))
    yield story.tell(path, answered(1))
    yield story.tell(path, done())


def swarm(story: Story, *, resumed: bool = False, traceparent: str = "") -> Iterator[Record]:
    """A swarm of one subtask, from its first record to its last."""
    yield story.tell("run", run_started(resumed=resumed, traceparent=traceparent))
    yield story.tell("run", e.PlanMade(subtasks=({"id": "tests", "name": "tests"},)))
    yield story.tell("run", subtask("queued"))
    yield story.tell("run", subtask("running"))
    yield from agent_turn(story, "sub/tests")
    yield story.tell("run", subtask("completed"))
    yield story.tell("run", e.SubtaskMerged(id="tests", name="tests", status="merged"))
    yield story.tell("run", e.RunFinished(outcome="success"))


def run_started(*, resumed: bool = False, traceparent: str = "") -> e.RunStarted:
    return e.RunStarted(
        kind="swarm",
        title=SECRET,
        directory="/secret/place",
        resumed=resumed,
        traceparent=traceparent,
    )


def subtask(status: str) -> e.SubtaskChanged:
    return e.SubtaskChanged(
        id="tests",
        name="tests",
        status=status,  # type: ignore[arg-type]
        agent="sub/tests",
        detail=SECRET,
    )


def live(record: Record) -> Record:
    """The same as the bus would carry a live event."""
    return replace(record, seq=-1)
