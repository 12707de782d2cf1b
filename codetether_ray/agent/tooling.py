"""Running one tool call: its context, its clock, and what of its output may be shown."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from codetether_ray.agent.conversation import PendingCall
from codetether_ray.agent.outlasting import outlast
from codetether_ray.agent.parts import AgentParts
from codetether_ray.agent.text import MAX_RESULT_CHARS, clean, shortened
from codetether_ray.core.errors import CodetetherError, JournalError
from codetether_ray.core.events import Event, ToolFinished, ToolOutput, Warned
from codetether_ray.core.masking import StreamMasker
from codetether_ray.core.messages import ToolCall, ToolResult
from codetether_ray.core.spec import AgentSpec
from codetether_ray.ports.tool import ChildRuntime, Notebook, ToolContext


class ToolRunner:
    """Runs calls of one agent. A result is masked before anyone sees it: model, journal or bus."""

    def __init__(self, spec: AgentSpec, parts: AgentParts, notebook: Notebook) -> None:
        self._spec = spec
        self._parts = parts
        self._notebook = notebook
        self._root = Path(spec.root)
        self.children: ChildRuntime | None = parts.links.children

    async def run(self, pending: PendingCall, step: int) -> ToolFinished:
        """Run a call to its one result; whatever a tool raises becomes an error result.

        Raises:
            JournalError: the run can keep nothing any more.
        """
        call = pending.call
        started = self._parts.clock.monotonic()
        output = _MaskedOutput(self._parts.links.publisher.emit, self._parts.mask)
        try:
            text, is_error = await self._answer(call, output)
        finally:
            output.close()
        elapsed_s = self._parts.clock.monotonic() - started
        return ToolFinished(
            step=step,
            result=ToolResult(
                call_id=call.id, name=call.name, content=self._shown(text), is_error=is_error
            ),
            elapsed_ms=int(elapsed_s * 1000),
        )

    async def run_group(
        self, group: tuple[PendingCall, ...], step: int, note: Callable[[ToolFinished], None]
    ) -> None:
        """Run calls at once and note their results in call order.

        If it is cancelled, what had finished is noted, and the cancellation goes on.
        """
        if len(group) == 1:
            note(await self.run(group[0], step))
            return
        tasks = [asyncio.create_task(self.run(pending, step)) for pending in group]
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await outlast(*tasks)
            raise
        finally:
            for task in tasks:
                if not task.cancelled():
                    note(task.result())

    async def _answer(self, call: ToolCall, output: "_MaskedOutput") -> tuple[str, bool]:
        try:
            return await self._parts.toolbox.call(
                call.name, call.arguments, self._context(call.id, output)
            ), False
        except JournalError:
            raise
        except CodetetherError as error:
            return str(error), True
        except Exception as error:  # noqa: BLE001 - a fault in a tool must not end the agent
            what = f"{call.name} failed inside: {type(error).__name__}: {error}"
            self._parts.links.publisher.emit(Warned(text=self._parts.mask(what)))
            return f"{what}; this is a fault of the tool, not of your call", True

    def _context(self, call_id: str, output: "_MaskedOutput") -> ToolContext:
        async def run_tool(name: str, arguments: str) -> str:
            return await self._parts.toolbox.call(name, arguments, context)

        context = ToolContext(
            spec=self._spec,
            root=self._root,
            sandbox=self._parts.sandbox,
            emit=output.emit,
            call_id=call_id,
            notebook=self._notebook,
            children=self.children,
            shares=self._parts.links.shares,
            run_tool=run_tool,
            search_program=self._parts.search_program,
        )
        return context

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
