"""The tree goes with the conversation: kept after every step, had again after a crash.

What a step left is in the hub before its result is noted. A rebuilt agent goes on from the tree
that its last result was recorded with:

* A worktree of its own is put back to it, and a write that was cut off runs again. Where a command
  or a child was cut off, the files stay as they are found, and the model is told which differ.
* A directory that others work in stays as it is. A write that was cut off is made again on a copy
  of the recorded tree: if the same is there now, it had been done.

All that is found enters the journal (`tool.finished`, `tree.found`): a replay needs no tree.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from codetether_ray.agent.conversation import Conversation, PendingCall
from codetether_ray.agent.decide import DIED, unfinished
from codetether_ray.agent.history import History
from codetether_ray.agent.outlasting import outlast
from codetether_ray.agent.parts import AgentParts
from codetether_ray.agent.tails import tail_path, take_tail
from codetether_ray.core.errors import WorkspaceError
from codetether_ray.core.events import ToolFinished, TreeFound, Warned
from codetether_ray.core.spec import AgentSpec
from codetether_ray.ports.snapshots import Snapshot
from codetether_ray.ports.tool import Effect

WRITING = frozenset({Effect.WRITE, Effect.SHELL, Effect.SPAWN})
"""Effects after which the tree may be another one."""

_MOVED = (
    "You were interrupted and go on now on another machine. Your files are as your last step left "
    "them; files that git ignores, and whatever ran in the background, are gone."
)
_SHOWN = 20  # paths told to a model
_MOST_FAILURES = 3  # in a row, until no more is tried in this process

Rehearse = Callable[[PendingCall, Path], Awaitable[ToolFinished]]
"""Runs a call in another root, for its result alone."""


class TreeKeeper:
    """Keeps one agent's trees, if it has any to keep."""

    def __init__(self, spec: AgentSpec, parts: AgentParts, history: History) -> None:
        self._spec = spec
        self._parts = parts
        self._snapshots = parts.snapshots
        self._history = history
        self._now = ""  # the commit that holds the files, as far as is known
        self._is_known = False  # that nobody changed them since
        self._is_begun = False
        self._failures = 0
        self._found: Snapshot | None = None
        self._untold: TreeFound | None = None
        self._move = ""

    @property
    def step(self) -> int:
        """The step whose calls are open."""
        return self._history.conversation.step - 1

    # -- while it works ---------------------------------------------------------------------------

    def begin_turn(self) -> None:
        """Another turn: in a directory of the user's, anything may have happened meanwhile."""
        if self._snapshots is not None and not self._snapshots.is_own:
            self._is_known = False

    async def before(self, step: int) -> str:
        """The commit that holds the tree as it is; empty where none is kept."""
        if self._snapshots is None:
            return ""
        if not self._is_known:
            return (await self._take(f"before step {step}") or Snapshot()).commit
        return self._now

    async def after(self, finished: ToolFinished) -> ToolFinished:
        """A result with the tree that its call left, which is in the hub by then."""
        if self._snapshots is None:
            return finished
        is_first = not self._failures
        taken = await self._take(f"{finished.step} {finished.result.call_id}")
        known = self._history.conversation.snapshot
        if taken is None:
            text = finished.result.content
            if is_first:
                text += "\n[what this call left in the workspace could not be kept]"
            result = replace(finished.result, content=text)
            return replace(finished, result=result, is_unkept=bool(known))
        if taken.commit == known:
            return finished
        return replace(finished, snapshot=taken.commit, tree=taken.tree)

    async def look(self) -> None:
        """The turn is to end: what a call leaves that is cut off is found and told by `told`."""
        if self._snapshots is not None and _writing(self._history.conversation):
            work = asyncio.ensure_future(self._look())
            await outlast(work)
            work.result()

    def told(self, results: tuple[ToolFinished, ...]) -> tuple[ToolFinished, ...]:
        """Results of calls that were cut off, with what they printed and what the tree holds."""
        return tuple(map(self._with_tail, self._with_files(results)))

    def tail_of(self, call_id: str) -> Path | None:
        """Where the output of a call is kept while it runs; None: nowhere."""
        folder, run_id = self._parts.tails, self._spec.correlation.run_id
        return None if folder is None else tail_path(folder, run_id, self._spec.path, call_id)

    def _with_tail(self, finished: ToolFinished) -> ToolFinished:
        path = self.tail_of(finished.result.call_id) if finished.interrupted else None
        text = "" if path is None else take_tail(path)
        if not text:
            return finished
        content = f"{finished.result.content}\nWhat it had printed ended with:\n{text}"
        return replace(finished, result=replace(finished.result, content=content))

    def _with_files(self, results: tuple[ToolFinished, ...]) -> tuple[ToolFinished, ...]:
        found, self._found = self._found, None
        if found is None or not found.commit:
            return results
        known = self._history.conversation.snapshot
        text = _in_words(found.files)
        done: list[ToolFinished] = []
        for each in results:
            if each.interrupted and found is not None:
                result = replace(each.result, content=f"{each.result.content}. {text}")
                each = replace(each, result=result)
                if found.commit != known:
                    each = replace(each, snapshot=found.commit, tree=found.tree)
                found = None
            done.append(each)
        return tuple(done)

    # -- when it was rebuilt ----------------------------------------------------------------------

    def came_from(self, spec: AgentSpec) -> None:
        """Its life before was on the terms of `spec`: the model is told of another machine."""
        if spec.node == self._spec.node:
            return
        self._move = _MOVED
        if spec.root != self._spec.root:
            self._move += f" The workspace is {self._spec.root} now."

    async def go_on(self, rehearse: Rehearse) -> None:
        """Once, before a rebuilt agent does anything: have the tree of its last result.

        Raises:
            WorkspaceError: the tree of its own cannot be had again.
        """
        if not self._is_begun:
            await self._go_on(rehearse)
            self._tell_move()
            self._is_begun = True

    async def _go_on(self, rehearse: Rehearse) -> None:
        snapshots, conversation = self._snapshots, self._history.conversation
        if any(p.effect == Effect.SHELL for p in conversation.pending):
            correlation = self._spec.correlation
            await self._parts.sandbox.end_leftovers(correlation.run_id, self._spec.path)
        if snapshots is None or not conversation.snapshot:
            return
        await snapshots.go_on_from(conversation.snapshot)
        if snapshots.is_own:
            await self._take_up(conversation)
        else:
            await self._compare(conversation, rehearse)

    def _tell_move(self) -> None:
        """What is told of the files already (`TreeFound`) is told with it."""
        conversation = self._history.conversation
        turn = conversation.turn
        is_told = turn is not None and turn.is_open and bool(turn.steps)
        if not (self._move and is_told and conversation.snapshot):
            return
        known = self._untold
        text = f"{self._move} {known.text}" if known is not None else self._move
        self._untold = TreeFound(
            snapshot=self._now, text=text, files=known.files if known is not None else ()
        )

    def tell(self) -> None:
        """Note what was found, as soon as the model can be told."""
        if self._untold is not None and not self._history.conversation.pending:
            at = self._now or self._history.conversation.snapshot
            self._history.note(replace(self._untold, snapshot=at))
            self._untold = None

    async def _take_up(self, conversation: Conversation) -> None:
        """A worktree of its own: put back, unless a command or a child was at work in it.

        On another machine nothing was at work.
        """
        assert self._snapshots is not None
        others = {Effect.SHELL, Effect.SPAWN}
        is_open = any(p.effect in others for p in conversation.pending)
        if is_open and not self._move and self._snapshots.is_there:
            await self._look()
            if not any(p.effect == Effect.SHELL for p in conversation.pending):
                self._found = None  # the results of children tell for themselves
        else:
            for note in await self._snapshots.restore():
                self._warn(note)
            self._now, self._is_known = conversation.snapshot, True

    async def _compare(self, conversation: Conversation, rehearse: Rehearse) -> None:
        """A directory that others work in: nothing is put back."""
        writes = [p for p in conversation.pending if p.effect == Effect.WRITE]
        try:
            for pending in writes:
                await self._judge(pending, rehearse)
        except WorkspaceError as error:
            self._fail(error)
        if not writes:
            await self._look()
            self._announce()

    async def _judge(self, pending: PendingCall, rehearse: Rehearse) -> None:
        """Find out whether a write was done; if it was not, it is left to be run."""
        assert self._snapshots is not None
        finished: ToolFinished | None = None

        async def change(root: Path) -> None:
            nonlocal finished
            finished = await rehearse(pending, root)

        verdict = await self._snapshots.has_been_done(change)
        if verdict == "untouched":
            return
        if verdict == "unknown" or finished is None:
            # An input, no decision: what the tree holds is known here alone.
            await self._look()
            lost = unfinished(pending, DIED, self._history.conversation)
            self._history.note(*self.told((lost,)))
        else:
            self._history.note(await self.after(finished))

    def _announce(self) -> None:
        """What differs is told as a message, unless a call that was cut off tells it."""
        conversation, found = self._history.conversation, self._found
        if any(p.effect == Effect.SHELL for p in conversation.pending):
            return
        self._found = None
        if any(p.effect == Effect.SPAWN for p in conversation.pending):
            return  # the results of children tell for themselves
        turn = conversation.turn
        is_told = turn is not None and turn.is_open and bool(turn.steps)
        if found is None or not is_told or found.commit in ("", conversation.snapshot):
            return
        text = (
            "You were interrupted and go on now. Since your last step, somebody changed the "
            f"workspace. {_in_words(found.files)}"
        )
        self._untold = TreeFound(snapshot=found.commit, text=text, files=found.files[:_SHOWN])

    # -- taking -----------------------------------------------------------------------------------

    async def _look(self) -> None:
        self._found = await self._take("found after a step was cut off")

    async def _take(self, note: str) -> Snapshot | None:
        """The tree now; None where it cannot be kept, which is told once."""
        assert self._snapshots is not None
        if self._failures >= _MOST_FAILURES:
            return None
        try:
            taken = await self._snapshots.take(note)
        except WorkspaceError as error:
            self._fail(error)
            return None
        for sentence in taken.notes:
            self._warn(sentence)
        self._failures, self._is_known, self._now = 0, True, taken.commit
        return taken

    def _fail(self, error: WorkspaceError) -> None:
        if not self._failures:
            self._warn(f"the files of {self._spec.path} are not kept for a resume: {error}")
        self._failures += 1
        self._is_known = False

    def _warn(self, text: str) -> None:
        self._parts.links.publisher.emit(Warned(text=self._parts.mask(text)))


def _writing(conversation: Conversation) -> bool:
    return any(p.effect in WRITING for p in conversation.pending)


def _in_words(files: tuple[str, ...]) -> str:
    if not files:
        return "No file in the workspace differs from before."
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return f"Files that differ from before: {', '.join(files[:_SHOWN])}{more}."
