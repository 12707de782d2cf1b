"""A world for Ralph in memory: the swarm's trees and agents, a line of commits, a PRD, gates."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from codetether_ray.core.events import StoryEnded
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.ports.sandbox import Completed
from codetether_ray.ports.trunk import Opened
from codetether_ray.ports.workspace import Tree
from codetether_ray.ralph.coordinator import RalphCoordinator
from codetether_ray.ralph.options import RalphOptions
from codetether_ray.ralph.prd import Prd, QualityChecks, Story
from codetether_ray.ralph.trailers import story_of
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import MemoryPublisher, make_spec
from tests.unit.swarm.world import Files, MemoryWorkspace, ScriptedRuntime, completed

RUN = "rlp_0000000000_00000000"


def story(id: str, *needs: str, **changes: Any) -> Story:
    """A story of that id."""
    return replace(Story(id=id, title=f"do {id}", depends_on=needs), **changes)


def prd_of(*stories: Story, test: str | None = "test", **checks: str) -> Prd:
    """A PRD with one gate."""
    gates = QualityChecks(test=test, **checks)
    return Prd(project="p", feature="f", stories=stories, quality_checks=gates)


class MemoryBook:
    """The PRD as a value."""

    def __init__(self, prd: Prd) -> None:
        self.prd = prd
        self.entries: list[str] = []

    async def carried(self, story: str, entry: str) -> Mapping[str, bytes]:
        return {}

    async def passed(self, story: str, entry: str) -> None:
        self._change(story, passes=True)
        if entry not in self.entries:
            self.entries.append(entry)

    async def amend(self, story: str, criterion: int, words: str) -> None:
        criteria = list(self.prd.by_id[story].acceptance_criteria)
        criteria[criterion - 1] = words
        self._change(story, acceptance_criteria=tuple(criteria))

    def _change(self, story: str, **changes: Any) -> None:
        stories = tuple(replace(s, **changes) if s.id == story else s for s in self.prd.stories)
        self.prd = replace(self.prd, stories=stories)


class MemoryTrunk:
    """A line over the memory workspace."""

    def __init__(self, workspace: MemoryWorkspace) -> None:
        self.workspace = workspace
        self.messages: dict[str, str] = {}
        self.lands: list[str] = []
        self.awaited: list[bool] = []

    async def open(self) -> Opened:
        return Opened(start=self.workspace.base, branch="ralph/f")

    async def head(self) -> str:
        return self.workspace.main

    async def squash(
        self, merged: str, onto: str, message: str, files: Mapping[str, bytes]
    ) -> str | None:
        nodes = self.workspace.nodes
        content = {**nodes[merged].files, **{p: b.decode() for p, b in files.items()}}
        if nodes[merged].files == nodes[onto].files:
            return None
        commit = self.workspace._add(content, (onto,))
        self.messages[commit] = message
        return commit

    async def changes(self, old: str, new: str) -> str:
        before, after = self.workspace.nodes[old].files, self.workspace.nodes[new].files
        out = []
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) == after.get(path):
                continue
            out.append(f"diff --git a/{path} b/{path}")
            out += ["new file mode 100644"] if path not in before else []
            out += ["deleted file mode 100644"] if path not in after else []
            lines = difflib.unified_diff(
                before.get(path, "").splitlines(),
                after.get(path, "").splitlines(),
                n=0,
                lineterm="",
            )
            out += [line for line in lines if not line.startswith(("---", "+++"))]
        return "\n".join(out)

    async def checkout(self, commit: str) -> Tree:
        return Tree(id="gates", path=Path(f"/at/{commit}"), branch="", base=commit)

    async def advance(self, new: str, old: str) -> None:
        assert self.workspace.main == old
        self.workspace.main = new
        self.lands.append(story_of(self.messages[new], RUN))

    async def landed(self) -> Mapping[str, str]:
        found = {}
        at = self.workspace.main
        while at in self.messages:
            found[story_of(self.messages[at], RUN)] = at
            at = self.workspace.nodes[at].parents[0]
        return found

    async def close(self, *, is_awaited: bool = False) -> str:
        self.awaited.append(is_awaited)
        return ""


Gate = Callable[[str, Files], Completed]


class MemorySandbox:
    """Gates as functions of the files; `ran` keeps the commands."""

    def __init__(self, workspace: MemoryWorkspace, gate: Gate | None = None) -> None:
        self.workspace = workspace
        self.gate = gate or (lambda command, files: Completed(exit_code=0, output="fine"))
        self.ran: list[str] = []

    async def run(self, command: Any, *, cwd: Path, **_: Any) -> Completed:
        self.ran.append(command)
        return self.gate(command, self.workspace.nodes[cwd.name].files)

    async def end_leftovers(self, run_id: str, agent: str) -> int:
        return 0


@dataclass
class World:
    """One run and all that it touches."""

    book: MemoryBook
    gate: Gate | None = None
    runtime: ScriptedRuntime = field(default_factory=ScriptedRuntime)
    workspace: MemoryWorkspace = field(default_factory=MemoryWorkspace)
    publisher: MemoryPublisher = field(default_factory=MemoryPublisher)
    clock: FakeClock = field(default_factory=FakeClock)
    answer: object = None
    asked: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trunk = MemoryTrunk(self.workspace)
        self.sandbox = MemorySandbox(self.workspace, self.gate)
        default = self.runtime._answer

        async def answer(spec: AgentSpec, text: str) -> TurnResult:
            if spec.path in self.runtime.behaviours or not spec.path.startswith("story/"):
                return await default(spec, text)
            return await self.does(spec, text)

        self.runtime._answer = answer  # type: ignore[method-assign]

    async def does(self, spec: AgentSpec, text: str) -> TurnResult:
        """What an agent without a script does: a file of its story's name, and it is complete."""
        id = spec.correlation.task_id
        self.workspace.files_of(spec.root)[f"{id}.txt"] = f"by {spec.path}"
        return completed(f"Did it.\nLearned: {id} is easy\nSTORY_COMPLETE: {id}")

    def writes(self, files: Files, text: str = "", **changes: Any) -> Any:
        """An agent that writes files and says something."""

        async def behaviour(spec: AgentSpec, _: str) -> TurnResult:
            self.workspace.files_of(spec.root).update(files)
            said = text or f"STORY_COMPLETE: {spec.correlation.task_id}"
            return completed(said, **changes)

        return behaviour

    def coordinator(self, **changes: Any) -> RalphCoordinator:
        template = make_spec(root="/user", correlation=Correlation(run_id=RUN), max_steps=100)
        options = RalphOptions(prd="prd.json", template=template, **changes)

        async def ask(question: Any) -> object:
            self.asked.append(question)
            return self.answer

        return RalphCoordinator(
            options,
            self.runtime,
            self.workspace,
            self.trunk,
            self.book,
            self.sandbox,
            self.publisher,
            self.clock,
            ask=ask,
        )

    @property
    def ends(self) -> list[tuple[str, str, str]]:
        """Story, status and cause of every judgement, in order."""
        found = (e for e in self.publisher.recorded if isinstance(e, StoryEnded))
        return [(e.story, e.status, e.cause) for e in found]


def world(*stories: Story, gate: Gate | None = None, answer: object = None, **checks: Any) -> World:
    """A world with a PRD of these stories."""
    return World(MemoryBook(prd_of(*stories, **checks)), gate, answer=answer)
