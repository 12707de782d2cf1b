"""A world for swarms in memory: trees that merge like git's, and a runtime of scripted agents."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codetether_ray.core.errors import ParentsConflictError, WorkspaceError
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.core.usage import Usage
from codetether_ray.ports.runtime import AgentStatus, Prepare
from codetether_ray.ports.workspace import Base, Commit, MergeOutcome, Tree
from codetether_ray.swarm.coordinator import SwarmCoordinator
from codetether_ray.swarm.options import SwarmOptions
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import MemoryPublisher, make_spec

Files = dict[str, str]
SWARM = "swm_0000000000_00000000"


@dataclass(frozen=True)
class _Node:
    files: Files
    parents: tuple[str, ...]


class MemoryWorkspace:
    """Commits are named by their contents and parents, so the same history has the same names."""

    def __init__(self, files: Files | None = None) -> None:
        self.nodes: dict[str, _Node] = {}
        self.base = self._add(files or {"readme": "hello"}, ())
        self.main = self.base
        self.trees: dict[str, tuple[Tree, Files]] = {}
        self.tips: dict[str, str] = {}
        self.half: dict[str, tuple[str, str]] = {}
        self.started: list[tuple[str, tuple[str, ...]]] = []
        self.merged: list[str] = []
        self.released: dict[str, bool] = {}

    def _add(self, files: Files, parents: tuple[str, ...]) -> str:
        text = json.dumps([sorted(files.items()), parents])
        name = hashlib.sha256(text.encode()).hexdigest()[:12]
        self.nodes[name] = _Node(files, parents)
        return name

    def _ancestors(self, commit: str) -> dict[str, int]:
        """Ancestors, itself included, by their distance from the root."""
        node = self.nodes[commit]
        found: dict[str, int] = {}
        for parent in node.parents:
            found.update(self._ancestors(parent))
        found[commit] = 1 + max((found[p] for p in node.parents), default=0)
        return found

    def _merge(self, ours: str, theirs: str) -> tuple[Files, tuple[str, ...]]:
        a, b = self._ancestors(ours), self._ancestors(theirs)
        root = max(a.keys() & b.keys(), key=lambda c: (a[c], c))
        base, left, right = (self.nodes[c].files for c in (root, ours, theirs))
        files, conflicts = {}, []
        for name in sorted(base.keys() | left.keys() | right.keys()):
            was, one, two = base.get(name), left.get(name), right.get(name)
            new = two if one == was else one
            if one != two and was not in (one, two):
                conflicts.append(name)
                new = f"<<<<<<< ours\n{one}\n=======\n{two}\n>>>>>>> theirs"
            if new is not None:
                files[name] = new
        return files, tuple(conflicts)

    def files_of(self, root: str) -> Files:
        return next(files for tree, files in self.trees.values() if str(tree.path) == root)

    # -- the port ---------------------------------------------------------------------------------

    async def open(self) -> Base:
        return Base(commit=self.base, head=self.base, branch="dev", notes=("a note.",))

    async def start(self, id: str, parents: tuple[str, ...] = (), *, node: str = "") -> Tree:
        await asyncio.sleep(0)
        if id in self.trees:
            return self.trees[id][0]
        at = parents[0] if parents else self.base
        for parent in parents[1:]:
            files, conflicts = self._merge(at, parent)
            if conflicts:
                raise ParentsConflictError(conflicts)
            at = self._add(files, (at, parent))
        self.started.append((id, parents))
        return self._tree(id, at, dict(self.nodes[at].files))

    def _tree(self, id: str, at: str, files: Files) -> Tree:
        tree = Tree(
            id=id, path=Path("/trees") / id, branch=f"codetether/x/{id}", base=at, env={"PORT": id}
        )
        self.trees[id] = (tree, files)
        return tree

    async def commit(self, tree: Tree, message: str) -> Commit:
        await asyncio.sleep(0)
        files, before = self.trees[tree.id][1], self.nodes[tree.base].files
        tip = self.tips.get(tree.id, tree.base)
        if self.nodes[tip].files != files:
            tip = self.tips[tree.id] = self._add(dict(files), (tip,))
        changed = tuple(
            n for n in sorted(files.keys() | before.keys()) if files.get(n) != before.get(n)
        )
        if not changed:
            return Commit(commit=tree.base, tree="", is_empty=True, tip=tip)
        return Commit(commit=tip, tree="", is_empty=False, files=changed, tip=tip)

    async def merge(self, theirs: str, message: str, *, into: str | None = None) -> MergeOutcome:
        await asyncio.sleep(0)
        ours = into or self.main
        if theirs in self._ancestors(ours):
            return MergeOutcome(status="already", commit=ours)
        files, conflicts = self._merge(ours, theirs)
        if conflicts:
            return MergeOutcome(status="conflict", conflicts=conflicts)
        commit = self._add(files, (ours, theirs))
        if into is None:
            self.main = commit
            self.merged.append(message.splitlines()[0])
        return MergeOutcome(status="merged", commit=commit)

    async def advance(self, commit: str) -> None:
        if self.main not in self._ancestors(commit):
            raise WorkspaceError(f"{commit} does not stand on {self.main}")
        self.main = commit

    async def start_merge(self, id: str, theirs: str, *, onto: str | None = None) -> Tree:
        ours = onto or self.main
        files, _ = self._merge(ours, theirs)
        self.half[f"resolve--{id}"] = (ours, theirs)
        return self._tree(f"resolve--{id}", ours, files)

    async def finish_merge(
        self, tree: Tree, theirs: str, message: str, *, onto: str | None = None
    ) -> MergeOutcome:
        files = self.trees[tree.id][1]
        left = tuple(name for name, text in files.items() if "<<<<<<<" in text)
        if left:
            return MergeOutcome(status="conflict", conflicts=left)
        commit = self._add(dict(files), self.half[tree.id])
        if onto is None:
            self.main = commit
            self.merged.append(message.splitlines()[0])
        return MergeOutcome(status="merged", commit=commit)

    async def release(self, tree: Tree, *, keep: bool) -> str | None:
        self.released[tree.id] = keep
        return None

    async def head(self) -> str:
        return self.main

    async def main_branch(self) -> str:
        return "codetether/x/main"

    async def diffstat(self) -> str:
        return "" if self.main == self.base else "some files changed"

    async def patch(self) -> str:
        return ""

    async def deliver(self) -> str:
        return ""


Behaviour = Callable[[AgentSpec, str], Awaitable[TurnResult]]


class ScriptedRuntime:
    """Runs agents by path: a behaviour, a text, or an error. `calls` keeps who was asked what."""

    def __init__(self, **named: Any) -> None:
        self.behaviours: dict[str, Any] = dict(named)
        self.calls: list[tuple[AgentSpec, str]] = []
        self.live: set[str] = set()
        self.cancelled: list[str] = []

    @property
    def paths(self) -> list[str]:
        return [spec.path for spec, _ in self.calls]

    def message_to(self, path: str) -> str:
        return next(text for spec, text in self.calls if spec.path == path)

    def spec_of(self, path: str) -> AgentSpec:
        return next(spec for spec, _ in self.calls if spec.path == path)

    async def run(
        self,
        spec: AgentSpec,
        message: Message,
        *,
        prepare: Prepare | None = None,
        priority: int = 0,
    ) -> TurnResult:
        await asyncio.sleep(0)
        if prepare is not None:
            spec = await prepare(spec)
        self.calls.append((spec, message.text))
        self.live.add(spec.path)
        try:
            return await self._answer(spec, message.text)
        except asyncio.CancelledError:
            self.cancelled.append(spec.path)
            raise
        finally:
            self.live.discard(spec.path)

    async def _answer(self, spec: AgentSpec, text: str) -> TurnResult:
        said = self.behaviours.get(spec.path, f"did {spec.path}")
        if isinstance(said, BaseException):
            raise said
        if isinstance(said, str):
            return completed(said)
        if isinstance(said, TurnResult):
            return said
        return await said(spec, text)

    async def cancel(self, path: str) -> bool:
        return False

    async def list(self) -> tuple[AgentStatus, ...]:
        return ()

    async def close(self) -> None:
        pass


def completed(text: str = "done", **changes: Any) -> TurnResult:
    usage = Usage(prompt_tokens=10, completion_tokens=1)
    defaults = {
        "outcome": "completed", "text": text, "usage": usage, "cost_usd": 0.5, "steps": 2,
        "tool_calls": 3, "elapsed_s": 1.0,
    }  # fmt: skip
    return TurnResult(**{**defaults, **changes})


def plan_of(*subtasks: dict[str, Any]) -> str:
    filled = [{"instruction": f"do {s['name']}", **s} for s in subtasks]
    return f"Here it is.\n```json\n{json.dumps({'subtasks': filled})}\n```"


@dataclass
class World:
    """One swarm and all that it touches."""

    runtime: ScriptedRuntime
    workspace: MemoryWorkspace = field(default_factory=MemoryWorkspace)
    publisher: MemoryPublisher = field(default_factory=MemoryPublisher)
    clock: FakeClock = field(default_factory=FakeClock)

    def coordinator(self, task: str = "build it", **changes: Any) -> SwarmCoordinator:
        hooks = {
            k: changes.pop(k) for k in ("approve", "price", "spent", "elapsed_s") if k in changes
        }
        template = make_spec(
            root="/user", correlation=Correlation(run_id=SWARM, swarm_id=SWARM), max_steps=100
        )
        options = SwarmOptions(task=task, template=template, **changes)
        return SwarmCoordinator(
            options, self.runtime, self.workspace, self.publisher, self.clock, **hooks
        )

    def writes(
        self, files: Files, *, turns: int = 0, result: TurnResult | None = None
    ) -> Behaviour:
        """An agent that writes files in its tree, after so many turns of the event loop."""

        async def behaviour(spec: AgentSpec, text: str) -> TurnResult:
            for _ in range(turns):
                await asyncio.sleep(0)
            self.workspace.files_of(spec.root).update(files)
            return result or completed(f"wrote {sorted(files)}")

        return behaviour


def world(**behaviours: Any) -> World:
    """A world whose agents (by path, `/` written as `__`) behave as given."""
    return World(ScriptedRuntime(**{k.replace("__", "/"): v for k, v in behaviours.items()}))
