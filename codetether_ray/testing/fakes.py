"""In-memory stand-ins for the ports that an agent needs, for unit tests of every room."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import AuditError, BudgetSpentError, ToolError
from codetether_ray.core.events import Event, Record
from codetether_ray.core.messages import Message, Reasoning, Text, assistant
from codetether_ray.core.models import (
    Finished,
    ModelInfo,
    ModelRequest,
    ModelResponse,
    ReasoningDelta,
    RetryScheduled,
    StreamEvent,
    TextDelta,
    ToolSchema,
)
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.core.usage import Budget, Spend, Usage
from codetether_ray.ports.audit import Action, AuditOutcome
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.ledger import Reservation
from codetether_ray.ports.sandbox import Completed
from codetether_ray.ports.tool import Effect, ToolContext

Answer = str | Message | ModelResponse | BaseException | RetryScheduled
"""What a scripted model says: text, a message, a whole response, an error, or a failed try."""

Script = Callable[[ModelRequest], Answer | Awaitable[Answer]]
ToolFunction = Callable[[dict[str, Any], ToolContext], Awaitable[str]]


class ScriptedProvider:
    """A model that says what a script says.

    `script` is a sequence, answered in order of the calls (asking once more is an error), or a
    function of the request. `requests` keeps what was asked.
    """

    def __init__(
        self,
        script: Sequence[Answer] | Script,
        *,
        name: str = "scripted",
        info: ModelInfo | None = None,
        usage: Usage | None = None,
        delay_s: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.requests: list[ModelRequest] = []
        self.is_closed = False
        self._script = script
        self._info = info
        self._usage = Usage(prompt_tokens=100, completion_tokens=10) if usage is None else usage
        self._delay_s = delay_s
        self._clock = clock
        self._used = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """Answer as the script says."""
        self.requests.append(request)
        await self._pause()
        while isinstance(answer := await self._next(request), RetryScheduled):
            yield answer
        if isinstance(answer, BaseException):
            raise answer
        response = self._response(answer)
        for part in response.message.parts:
            if isinstance(part, Text):
                yield TextDelta(text=part.text)
            elif isinstance(part, Reasoning):
                yield ReasoningDelta(text=part.text)
        yield Finished(response=response)

    def info(self, model: str) -> ModelInfo | None:
        """What the test said is known."""
        return self._info

    async def aclose(self) -> None:
        """Remember that it was closed."""
        self.is_closed = True

    async def _pause(self) -> None:
        if self._clock is not None:
            await self._clock.sleep(self._delay_s)
        else:
            await asyncio.sleep(self._delay_s)

    async def _next(self, request: ModelRequest) -> Answer:
        if callable(self._script):
            said = self._script(request)
            return await said if isinstance(said, Awaitable) else said
        if self._used >= len(self._script):
            raise AssertionError(f"the script has only {self._used} answers; asked: {request!r}")
        self._used += 1
        return self._script[self._used - 1]

    def _response(self, answer: str | Message | ModelResponse | BaseException) -> ModelResponse:
        if isinstance(answer, ModelResponse):
            return answer
        message = assistant(answer) if isinstance(answer, str) else answer
        assert isinstance(message, Message)
        return ModelResponse(
            message=message,
            finish_reason="tool_calls" if message.tool_calls else "stop",
            usage=self._usage,
        )


class MemoryJournal:
    """A journal that forgets with its process: numbered records in a list."""

    def __init__(self, records: Sequence[Record] = ()) -> None:
        self.records: list[Record] = list(records)
        self.appends = 0
        self._counts = Counter(record.agent for record in self.records)

    async def append(self, records: Sequence[Record]) -> tuple[Record, ...]:
        """Number and keep."""
        self.appends += 1
        kept = []
        for record in records:
            seq, agent_seq = len(self.records), self._counts[record.agent]
            self._counts[record.agent] += 1
            kept.append(replace(record, seq=seq, agent_seq=agent_seq))
            self.records.append(kept[-1])
        return tuple(kept)

    async def read(self, agent: str | None = None) -> tuple[Record, ...]:
        """All records, or those of one agent."""
        return tuple(r for r in self.records if agent is None or r.agent == agent)

    async def close(self) -> None:
        """Nothing to let go of."""


class MemoryPublisher:
    """A voice nobody hears: durable events in `recorded`, live ones in `emitted`."""

    def __init__(self, recorded: Sequence[Event] = ()) -> None:
        self.recorded: list[Event] = list(recorded)
        self.emitted: list[Event] = []
        self.batches: list[tuple[Event, ...]] = []

    async def record(self, *events: Event) -> None:
        """Keep, giving way before and after, as a disk would: who is cancelled cannot tell."""
        await asyncio.sleep(0)
        self.recorded.extend(events)
        self.batches.append(events)
        await asyncio.sleep(0)

    def emit(self, event: Event) -> None:
        """Keep."""
        self.emitted.append(event)

    async def history(self) -> Sequence[Event]:
        """What was recorded."""
        await asyncio.sleep(0)
        return tuple(self.recorded)


class MemoryLedger:
    """Counts spends; refuses where `budget` would not hold."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = Budget() if budget is None else budget
        self.settled = Spend()
        self.open: dict[str, Spend] = {}
        self.owners: dict[str, str] = {}
        self._names = 0

    async def reserve(self, amount: Spend, owner: str = "") -> Reservation:
        """Set aside, if it fits."""
        limit = self.budget.tokens
        used = self.settled.tokens + sum(a.tokens for a in self.open.values())
        if limit is not None and used + amount.tokens > limit:
            raise BudgetSpentError("tokens", limit, used)
        self._names += 1
        self.open[str(self._names)] = amount
        self.owners[str(self._names)] = owner
        return Reservation(id=str(self._names), amount=amount)

    async def settle(self, reservation: Reservation, actual: Spend) -> None:
        """Replace the reservation by what was spent."""
        del self.open[reservation.id]
        self.settled += actual

    async def release(self, owner: str) -> None:
        """Give back what a dead agent had set aside."""
        for id in [id for id in self.open if self.owners[id] == owner]:
            del self.open[id]

    async def spent(self) -> Spend:
        """All settled spends."""
        return self.settled

    async def limits(self) -> Budget:
        """The budget."""
        return self.budget


class MemoryToolBox:
    """Tools made of functions: `name=(effect, function)`. `calls` keeps (name, arguments)."""

    def __init__(self, tools: Mapping[str, tuple[Effect, ToolFunction]]) -> None:
        self.tools = dict(sorted(tools.items()))
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._schemas = tuple(
            ToolSchema(name=name, description=f"Do {name}.", parameters={"type": "object"})
            for name in self.tools
        )

    def schemas(self) -> tuple[ToolSchema, ...]:
        """One schema per tool, by name."""
        return self._schemas

    def effect(self, name: str) -> Effect | None:
        """A tool's effect."""
        return self.tools[name][0] if name in self.tools else None

    async def call(self, name: str, arguments: str, ctx: ToolContext) -> str:
        """Run a function."""
        if name not in self.tools:
            raise ToolError(f"no tool {name!r}; there are {', '.join(self.tools)}")
        try:
            given = json.loads(arguments or "{}")
        except ValueError:
            raise ToolError(f"the arguments of {name} are not JSON") from None
        self.calls.append((name, given))
        return await self.tools[name][1](given, ctx)


class FakeSandbox:
    """Runs nothing: every command ends at once with `exit_code` and `output`."""

    def __init__(self, output: str = "", exit_code: int = 0) -> None:
        self.commands: list[str | Sequence[str]] = []
        self._completed = Completed(exit_code=exit_code, output=output, total_bytes=len(output))

    async def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 120.0,
        stdin: bytes | None = None,
        max_output_bytes: int = 30_000,
        on_output: Callable[[str], None] | None = None,
    ) -> Completed:
        """Note the command and say what was prepared."""
        self.commands.append(command)
        if on_output is not None and self._completed.output:
            on_output(self._completed.output)
        return self._completed

    async def end_leftovers(self, run_id: str, agent: str) -> int:
        """There are none."""
        return 0


class MemoryAudit:
    """An audit log in a list: `intents`, and how each ended in `outcomes`; it can be broken."""

    def __init__(self) -> None:
        self.intents: dict[str, Action] = {}
        self.outcomes: dict[str, tuple[AuditOutcome, JsonObject]] = {}
        self.broken: AuditError | None = None

    async def begin(self, *actions: Action) -> tuple[str, ...]:
        """Keep, after giving way once, as a disk would."""
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken
        ids = tuple(str(len(self.intents) + n) for n in range(len(actions)))
        self.intents |= dict(zip(ids, actions, strict=True))
        return ids

    def end(
        self,
        id: str,
        outcome: AuditOutcome,
        *,
        detail: JsonObject | None = None,
        duration_ms: int | None = None,
    ) -> None:
        """Keep; an end comes once, and after its beginning."""
        assert id in self.intents, id
        assert id not in self.outcomes, id
        self.outcomes[id] = outcome, detail or {}

    def conceal(self, values: Iterable[str]) -> None:
        """Nothing is masked: a test sees all."""

    async def rest(self) -> None:
        """Nothing waits."""

    async def close(self) -> None:
        """Nothing to let go of."""


def make_spec(path: str = "main", **changes: Any) -> AgentSpec:
    """A small agent spec for tests; `changes` are its fields."""
    defaults: dict[str, Any] = {
        "path": path,
        "kind": "main",
        "name": path.replace("/", "-"),
        "model": "scripted/model",
        "root": "/nowhere",
        "correlation": Correlation(run_id="ses_0000000000_00000000"),
    }
    return AgentSpec(**{**defaults, **changes})
