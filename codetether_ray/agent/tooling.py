"""Running one tool call: its context, its clock, and what of its output may be shown."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from codetether_ray.agent.auditing import Auditor
from codetether_ray.agent.conversation import PendingCall
from codetether_ray.agent.outlasting import outlast
from codetether_ray.agent.parts import AgentParts
from codetether_ray.agent.tails import Tail
from codetether_ray.agent.text import MAX_RESULT_CHARS, clean, shortened
from codetether_ray.agent.tracing import TracedSandbox
from codetether_ray.agent.trees import TreeKeeper
from codetether_ray.core import failpoints
from codetether_ray.core.errors import (
    AuditError,
    CodetetherError,
    JournalError,
    MemoryExceededError,
    PathEscapesError,
    TreeLimitError,
)
from codetether_ray.core.events import Event, ToolFinished, ToolOutput, Warned
from codetether_ray.core.masking import StreamMasker
from codetether_ray.core.messages import ToolCall, ToolResult
from codetether_ray.core.spec import AgentSpec
from codetether_ray.ports.audit import AuditOutcome
from codetether_ray.ports.child_runs import ChildRuns
from codetether_ray.ports.sandbox import Sandbox
from codetether_ray.ports.tool import ChildRuntime, Notebook, ToolContext


class ToolRunner:
    """Runs calls of one agent. A result is masked before anyone sees it: model, journal or bus."""

    def __init__(
        self,
        spec: AgentSpec,
        parts: AgentParts,
        notebook: Notebook,
        trees: TreeKeeper,
        auditor: Auditor,
    ) -> None:
        self._spec = spec
        self._parts = parts
        self._notebook = notebook
        self._trees = trees
        self._auditor = auditor
        self._root = Path(spec.root)
        self.children: ChildRuntime | None = parts.links.children
        self.runs: ChildRuns | None = parts.links.runs

    async def run(self, pending: PendingCall, step: int, audit_id: str = "") -> ToolFinished:
        """Run a call to its one result; whatever a tool raises becomes an error result.

        Raises:
            JournalError, AuditError: the run can keep nothing any more.
            MemoryExceededError: it is to be run again where there is more memory.
        """
        started = self._parts.clock.monotonic()
        try:
            finished, outcome = await self._run(pending.call, step, self._root)
        except BaseException as error:
            self._auditor.failed(audit_id, error)
            raise
        self._auditor.returned(audit_id, outcome, finished.result)
        elapsed_s = self._parts.clock.monotonic() - started
        return replace(finished, elapsed_ms=int(elapsed_s * 1000))

    async def rehearse(self, pending: PendingCall, root: Path) -> ToolFinished:
        """What a call would come to in another root."""
        step = self._trees.step
        finished, _ = await self._run(pending.call, step, root)
        return finished

    async def run_group(
        self,
        group: tuple[PendingCall, ...],
        step: int,
        audit_ids: tuple[str, ...],
        note: Callable[[ToolFinished], None],
        *,
        writes: bool,
    ) -> None:
        """Run calls at once and note their results in call order (`writes`: and the tree).

        If it is cancelled, what had finished is noted, and the cancellation goes on.
        """
        if len(group) == 1 and not writes:
            note(await self.run(group[0], step, audit_ids[0]))
            return
        tasks = [
            asyncio.create_task(self.run(pending, step, id))
            for pending, id in zip(group, audit_ids, strict=True)
        ]
        was_cancelled = False
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            was_cancelled = True
            for task in tasks:
                task.cancel()
            await outlast(*tasks)
        failpoints.hit("tool.done")
        finished = [task.result() for task in tasks if not task.cancelled()]
        if finished and writes:
            kept = asyncio.ensure_future(self._trees.after(finished[-1]))
            was_cancelled |= await outlast(kept)
            finished[-1] = kept.result()
        for each in finished:
            note(each)
        if was_cancelled:
            raise asyncio.CancelledError

    async def _run(
        self, call: ToolCall, step: int, root: Path
    ) -> tuple[ToolFinished, AuditOutcome]:
        output = _MaskedOutput(self._parts.links.publisher.emit, self._parts.mask)
        tail = self._tail(call)
        was_cut = True
        try:
            text, outcome = await self._answer(call, self._context(call, step, root, output, tail))
            was_cut = False
        finally:
            output.close()
            if tail is not None:
                tail.stop(keep=was_cut)
        result = ToolResult(
            call_id=call.id,
            name=call.name,
            content=self._shown(text),
            is_error=outcome != "success",
        )
        return ToolFinished(step=step, result=result), outcome

    async def _answer(self, call: ToolCall, context: ToolContext) -> tuple[str, AuditOutcome]:
        try:
            return await self._parts.toolbox.call(call.name, call.arguments, context), "success"
        except (JournalError, AuditError, MemoryExceededError):
            raise
        except (PathEscapesError, TreeLimitError) as error:
            return str(error), "denied"
        except CodetetherError as error:
            is_known = self._parts.toolbox.effect(call.name) is not None
            return str(error), "failure" if is_known else "denied"
        except Exception as error:  # noqa: BLE001 - a fault in a tool must not end the agent
            what = f"{call.name} failed inside: {type(error).__name__}: {error}"
            self._parts.links.publisher.emit(Warned(text=self._parts.mask(what)))
            return f"{what}; this is a fault of the tool, not of your call", "failure"

    def _tail(self, call: ToolCall) -> Tail | None:
        path = self._trees.tail_of(call.id)
        return None if path is None else Tail(path, self._parts.mask)

    def _context(
        self, call: ToolCall, step: int, root: Path, output: "_MaskedOutput", tail: Tail | None
    ) -> ToolContext:
        async def run_tool(name: str, arguments: str) -> str:
            inner = ToolCall(id=call.id, name=name, arguments=arguments)
            return await self._within(inner, step, context)

        context = ToolContext(
            spec=self._spec,
            root=root,
            sandbox=self._sandbox(call),
            emit=output.emit,
            call_id=call.id,
            **({} if tail is None else {"keep_output": tail.feed}),
            notebook=self._notebook,
            children=self.children,
            runs=self.runs,
            shares=self._parts.links.shares,
            prds=self._parts.prds,
            peers=self._parts.peers,
            run_tool=run_tool,
            search_program=self._parts.search_program,
        )
        return context

    def _sandbox(self, call: ToolCall) -> Sandbox:
        trace = self._parts.links.trace
        if trace is None:
            return self._parts.sandbox
        return TracedSandbox(self._parts.sandbox, trace.of_tool(self._spec.path, call.id))

    async def _within(self, call: ToolCall, step: int, context: ToolContext) -> str:
        """A call that another tool makes; audited like any other."""
        toolbox, auditor = self._parts.toolbox, self._auditor
        action = auditor.tool(call, toolbox.effect(call.name), step, within=call.id)
        (id,) = await auditor.begin(action)
        try:
            text = await toolbox.call(call.name, call.arguments, context)
        except PathEscapesError:
            auditor.end(id, "denied")
            raise
        except BaseException as error:
            auditor.failed(id, error)
            raise
        auditor.end(id, "success", {"output": {"characters": len(text)}})
        return text

    def _shown(self, text: str) -> str:
        masked = self._parts.mask(clean(text))
        return shortened(masked, MAX_RESULT_CHARS) or "(no output)"


class _MaskedOutput:
    """A call's live events, with secrets masked even where two pieces share one."""

    def __init__(self, emit: Callable[[Event], None], mask: Callable[[str], str]) -> None:
        self._emit = emit
        self._mask = mask
        self._streams: dict[str, StreamMasker] = {}

    def emit(self, event: Event) -> None:
        """Publish an event; output waits for its line to be complete."""
        if not isinstance(event, ToolOutput):
            self._emit(event)
            return
        stream = self._streams.get(event.call_id)
        if stream is None:
            stream = self._streams[event.call_id] = StreamMasker(self._mask)
        self._send(event.call_id, stream.feed(clean(event.text)))

    def close(self) -> None:
        """Publish what was held back."""
        for call_id, stream in self._streams.items():
            self._send(call_id, stream.flush())

    def _send(self, call_id: str, text: str) -> None:
        if text:
            self._emit(ToolOutput(call_id=call_id, text=text))
