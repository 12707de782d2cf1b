"""A real agent with a real journal and audit log on a disk that can be pulled out at any time."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from codetether_ray.agent.loop import AgentLoop
from codetether_ray.agent.parts import AgentLinks, AgentParts
from codetether_ray.audit.log import AuditLog
from codetether_ray.core.events import Event, ModelResponded, Record, ToolStarted
from codetether_ray.core.messages import user
from codetether_ray.core.spec import TurnResult
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import run_directory
from codetether_ray.local.journal import LocalJournal
from codetether_ray.local.publisher import LocalPublisher
from codetether_ray.ports.snapshots import Snapshots
from codetether_ray.ports.tool import Effect, ToolContext
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import (
    FakeSandbox,
    MemoryLedger,
    MemoryToolBox,
    ScriptedProvider,
    make_spec,
)
from tests.contracts.journal import RUN, WHERE
from tests.faults.disk_model import ModelDisk, Nothing
from tests.unit.agent.scenes import by_step, call, says

ANSWER = "All is done."
_SCRIPT = (
    says(call("c0", "write", path="a"), text="First a file."),
    says(call("c1", "shell", command="x"), call("c2", "read"), call("c3", "read")),
    says(call("c4", "shell", command="y" * 400), text="A long one."),
    ANSWER,
)
STEPS = len(_SCRIPT)
_SEGMENT_BYTES = 6_000  # the run is sealed in its middle


class NotingJournal:
    """A journal that keeps what it promised."""

    def __init__(self, journal: LocalJournal) -> None:
        self._journal = journal
        self.promised: list[Record] = []
        self.at_append: Callable[[Sequence[Record]], None] = lambda records: None
        self.read, self.close = journal.read, journal.close

    async def append(self, records: Sequence[Record]) -> tuple[Record, ...]:
        self.at_append(records)
        kept = await self._journal.append(records)
        self.promised.extend(kept)
        return kept


class Life:
    """The agent from one boot to the next. `effects` are the calls whose tool ran."""

    def __init__(self, root: Path, scratch: Path, snapshots: Snapshots | None = None) -> None:
        self.snapshots = snapshots
        self.at_append: Callable[[Sequence[Record]], None] = lambda records: None
        self.at_effect: Callable[[str], None] = lambda call_id: None
        self.disk = ModelDisk(root)
        self.data_dir = root / "data"
        self.effects: list[str] = []
        self.promised: list[Record] = []
        self._scratch = scratch
        self.provider = ScriptedProvider(by_step(*_SCRIPT))

    async def run(self) -> TurnResult:
        """Take the turn, or go on with it."""
        journal = NotingJournal(
            await LocalJournal.open(
                self.data_dir, RUN, WHERE, disk=self.disk, segment_bytes=_SEGMENT_BYTES
            )
        )
        self.promised, journal.at_append = journal.promised, self.at_append
        audit = AuditLog(self.data_dir, disk=self.disk)
        try:
            return await self._loop(journal, audit).turn(user("go"))
        finally:
            await journal.close()
            await audit.close()

    def _loop(self, journal: NotingJournal, audit: AuditLog) -> AgentLoop:
        tools = {
            "write": (Effect.WRITE, self._tool),
            "shell": (Effect.SHELL, self._tool),
            "read": (Effect.READ, self._tool),
        }
        parts = AgentParts(
            links=AgentLinks(
                publisher=LocalPublisher(journal, None, WHERE, "main"), ledger=MemoryLedger()
            ),
            provider=self.provider,
            toolbox=MemoryToolBox(tools),
            sandbox=FakeSandbox(),
            clock=FakeClock(),
            mask=str,
            audit=audit,
            snapshots=self.snapshots,
        )
        return AgentLoop(make_spec(), parts)

    async def _tool(self, arguments: dict[str, Any], ctx: ToolContext) -> str:
        """Look at what a power cut would leave now, then have an effect."""
        self.effects.append(ctx.call_id)
        left = self._scratch / f"left-{len(self.effects)}"
        left.mkdir(parents=True)
        self.disk.crash(left, Nothing())
        self.at_effect(ctx.call_id)
        check_is_announced(left / "data", ctx.call_id)
        return "é" * len(arguments.get("command", ""))


def check_is_announced(data_dir: Path, call_id: str) -> None:
    """A tool may run now: its start, the answer that asked for it and its intent are durable."""
    events = events_of(data_dir)
    answers = [e.response.message for e in events if isinstance(e, ModelResponded)]
    asked = {asked.id: asked.name for message in answers for asked in message.tool_calls}
    assert call_id in asked, "the tool runs before the answer that asked for it is durable"
    started = [e.call.id for e in events if isinstance(e, ToolStarted)]
    assert call_id in started, "the tool runs before its start is durable"
    assert call_id in intents(data_dir), "the tool runs before its audit intent is durable"


def events_of(data_dir: Path) -> list[Event]:
    """What the journal in `data_dir` holds."""
    if not run_directory(data_dir, RUN).is_dir():
        return []
    return [record.event for record in read_records(data_dir, RUN)]


def intents(data_dir: Path) -> set[str]:
    """The calls of which the audit chains hold an intent."""
    found = set()
    for path in data_dir.glob("audit/*/*-*.jsonl"):
        for line in path.read_bytes().split(b"\n")[:-1]:
            entry = json.loads(line)
            if entry["outcome"] == "intent" and entry["action"].startswith("tool:"):
                found.add(entry["resource"])
    return found
