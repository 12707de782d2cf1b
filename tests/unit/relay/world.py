"""A world for relays in memory: agents that remember their turns, and a journal that may break."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from codetether_ray.core.events import Event, KrMeasured, TurnDone
from codetether_ray.core.measures import KrReading
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.core.usage import Usage
from codetether_ray.ports.runtime import AgentStatus, Prepare
from codetether_ray.relay.coordinator import RelayCoordinator
from codetether_ray.relay.options import RelayOptions
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import MemoryPublisher, make_spec
from tests.unit.swarm.world import MemoryWorkspace

RELAY = "rly_0000000000_00000000"
Said = str | TurnResult | BaseException | Callable[[AgentSpec, str], str | TurnResult]


class CrashError(BaseException):
    """The process dies here."""


class Runtime:
    """Agents by path, each with the list of what it says in its turns.

    A turn that is finished is never asked for again: it is answered from memory, as the journal
    does it. `asked` keeps who was really asked what.
    """

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.said = dict(said)
        self.done: dict[tuple[str, int], tuple[str, TurnResult]] = {}
        self.asked: list[tuple[str, str]] = []
        self.specs: dict[str, AgentSpec] = {}
        self.dies_after: str = ""

    async def run(
        self,
        spec: AgentSpec,
        message: Message,
        *,
        prepare: Prepare | None = None,
        priority: int = 0,
    ) -> TurnResult:
        key = (spec.path, spec.finished_turns or 0)
        if key in self.done:
            text, result = self.done[key]
            assert text == message.text, "the same turn was asked with another message"
            return result
        self.specs[spec.path] = spec
        self.asked.append((spec.path, message.text))
        result = _result(self._answer(spec, message.text, key[1]))
        if result.is_success:
            self.done[key] = (message.text, result)
        return result

    def _answer(self, spec: AgentSpec, text: str, number: int) -> Any:
        said = self.said.get(spec.path, f"{spec.path} turn {number}")
        if isinstance(said, list):
            said = said[min(number, len(said) - 1)]
        if callable(said):
            said = said(spec, text)
        if isinstance(said, BaseException):
            raise said
        return said

    async def cancel(self, path: str) -> bool:
        return False

    async def list(self) -> tuple[AgentStatus, ...]:
        return ()

    async def close(self) -> None:
        pass


def _result(said: Any) -> TurnResult:
    if isinstance(said, TurnResult):
        return said
    return TurnResult(outcome="completed", text=said, usage=Usage(prompt_tokens=1), cost_usd=0.0)


class BreakingPublisher(MemoryPublisher):
    """Dies before or after its n-th record."""

    def __init__(self, at: int = -1, *, is_kept: bool = False) -> None:
        super().__init__()
        self.at, self.is_kept = at, is_kept

    async def record(self, *events: Event) -> None:
        is_last = len(self.recorded) == self.at
        if is_last and not self.is_kept:
            raise CrashError
        await super().record(*events)
        if is_last:
            raise CrashError


@dataclass
class Scores:
    """Measures by a function of the commit's files; keeps what it is told to."""

    workspace: MemoryWorkspace
    values: Callable[[Mapping[str, str]], float | None]
    target: float = 1.0
    kept: list[KrMeasured] = field(default_factory=list)
    is_over: bool = False

    async def measure(self, turn: int, commit: str) -> KrMeasured:
        value = self.values(self.workspace.nodes[commit].files)
        reading = KrReading(kr_id="kr", turn=turn, commit=commit, value=value)
        met = ("kr",) if value is not None and value >= self.target else ()
        told = {"kr": {"title": "files are there", "target": self.target}}
        return KrMeasured(turn=turn, commit=commit, readings=(reading,), met=met, standing=told)

    async def keep(self, measured: KrMeasured) -> None:
        self.kept.append(measured)

    async def is_cancelled(self) -> bool:
        return self.is_over


def team_of(*names: str) -> str:
    """A planner's answer."""
    profiles = [{"name": n, "specialty": f"{n} things", "mission": f"do {n}"} for n in names]
    return json.dumps({"profiles": profiles})


@dataclass
class World:
    """One relay and all that it touches; `again` is the next process over the same journal."""

    runtime: Runtime
    workspace: MemoryWorkspace = field(default_factory=MemoryWorkspace)
    publisher: MemoryPublisher = field(default_factory=MemoryPublisher)
    clock: FakeClock = field(default_factory=FakeClock)
    announced: list[tuple[str, str, str]] = field(default_factory=list)

    def coordinator(self, task: str = "build it", **changes: Any) -> RelayCoordinator:
        hooks = {k: changes.pop(k) for k in ("scoring", "elapsed_s") if k in changes}
        template = make_spec(
            root="/user", correlation=Correlation(run_id=RELAY, relay_id=RELAY), max_steps=100
        )
        options = RelayOptions(task=task, template=template, **{"count": 2, **changes})

        async def announce(sender: str, to: str, text: str) -> None:
            self.announced.append((sender, to, text))

        return RelayCoordinator(
            options,
            self.runtime,
            self.workspace,
            self.publisher,
            self.clock,
            announce=announce,
            **hooks,
        )

    @property
    def turns(self) -> list[TurnDone]:
        return [e for e in self.publisher.recorded if isinstance(e, TurnDone)]

    def writes(self, files: Mapping[str, str], text: str) -> Callable[[AgentSpec, str], str]:
        """An agent that writes files in its tree and says `text`."""

        def behaviour(spec: AgentSpec, _: str) -> str:
            self.workspace.files_of(spec.root).update(files)
            return text

        return behaviour


def world(**said: Any) -> World:
    """A world whose agents say what is given; `relay__auto_a` is the path `relay/auto-a`."""
    named = {k.replace("__", "/").replace("_", "-"): v for k, v in said.items()}
    return World(Runtime({"planner": team_of("a", "b"), **named}))
