"""An agent in a scene: a scripted model, tools that note what they did, everything in memory."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from codetether_ray.agent.loop import AgentLoop
from codetether_ray.agent.parts import AgentLinks, AgentParts
from codetether_ray.core.events import Event, ModelResponded
from codetether_ray.core.messages import Message, ToolCall, assistant
from codetether_ray.core.models import ModelInfo
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.core.usage import Usage
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.tool import Effect, ToolContext
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import (
    Answer,
    FakeSandbox,
    MemoryLedger,
    MemoryPublisher,
    MemoryToolBox,
    Script,
    ScriptedProvider,
    ToolFunction,
    make_spec,
)

NAMES = {
    "read": Effect.READ,
    "note": Effect.STATE,
    "write": Effect.WRITE,
    "shell": Effect.SHELL,
    "task": Effect.SPAWN,
}


def call(id: str, name: str, **arguments: Any) -> ToolCall:
    return ToolCall(id=id, name=name, arguments=json.dumps(arguments))


def says(*calls: ToolCall, text: str = "") -> Message:
    return assistant(text, *calls)


async def echo(arguments: dict[str, Any], ctx: ToolContext) -> str:
    return f"{ctx.call_id}: {json.dumps(arguments)}"


@dataclass
class Scene:
    """One agent and its surroundings; `again` is the same agent after a crash."""

    script: Sequence[Answer] | Script
    recorded: Sequence[Event] = ()
    spec: AgentSpec = field(default_factory=make_spec)
    tools: dict[str, tuple[Effect, ToolFunction]] = field(default_factory=dict)
    info: ModelInfo | None = None
    usage: Usage | None = None
    ledger: Any = None
    clock: Clock = field(default_factory=FakeClock)
    mask: Callable[[str], str] = str
    children: Any = None
    instructions: tuple[tuple[str, str], ...] = ()
    audit: Any = None
    snapshots: Any = None

    def __post_init__(self) -> None:
        self.publisher = MemoryPublisher(self.recorded)
        self.toolbox = MemoryToolBox({n: (e, echo) for n, e in NAMES.items()} | self.tools)
        self.ledger = self.ledger or MemoryLedger()
        self.provider = ScriptedProvider(self.script, info=self.info, usage=self.usage)
        self.parts = AgentParts(
            links=AgentLinks(publisher=self.publisher, ledger=self.ledger, children=self.children),
            provider=self.provider,
            toolbox=self.toolbox,
            sandbox=FakeSandbox(),
            clock=self.clock,
            mask=self.mask,
            instructions=self.instructions,
            audit=self.audit,
            snapshots=self.snapshots,
        )
        self.loop = AgentLoop(self.spec, self.parts)

    async def turn(self, message: Message) -> TurnResult:
        return await self.loop.turn(message)

    @property
    def events(self) -> list[Event]:
        return self.publisher.recorded

    @property
    def tags(self) -> list[str]:
        return [event.tag for event in self.events]

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def answers(self) -> int:
        return len(self.of(ModelResponded))


def by_step(*answers: Answer) -> Script:
    """A model that answers by the step it is asked for, also after a crash."""
    return lambda request: answers[request.step]
