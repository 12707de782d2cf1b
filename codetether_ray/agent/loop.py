"""The agent's loop: one conversation, one turn at a time, each ended by an honest result."""

import asyncio
from dataclasses import replace

from codetether_ray.agent.auditing import Auditor
from codetether_ray.agent.deadline import Deadline, PausingChildren, PausingRuns
from codetether_ray.agent.decide import Finish, Settle
from codetether_ray.agent.digests import part_digests, prefix_digest
from codetether_ray.agent.history import History
from codetether_ray.agent.outlasting import outlast
from codetether_ray.agent.parts import AgentParts
from codetether_ray.agent.prompt import system_prompt
from codetether_ray.agent.situation import is_same_message, with_situation
from codetether_ray.agent.steps import Steps
from codetether_ray.agent.terms import decision_terms
from codetether_ray.agent.text import clean
from codetether_ray.agent.tooling import ToolRunner
from codetether_ray.agent.trees import TreeKeeper
from codetether_ray.core.errors import (
    BudgetSpentError,
    CodetetherError,
    JournalError,
    MemoryExceededError,
    NodeLostError,
    QuotaSpentError,
)
from codetether_ray.core.events import AgentContinued, AgentStarted, TurnFinished, TurnStarted
from codetether_ray.core.messages import Message, Part, Text
from codetether_ray.core.spec import AgentSpec, Outcome, TurnResult
from codetether_ray.ports.tool import Notebook

_GOES_ON: frozenset[Outcome] = frozenset(
    {"waiting", "budget", "cancelled", "timeout", "failed", "stuck"}
)
"""Outcomes after which the same message takes the turn up again; others are the turn's verdict."""

_CANCELLED = Finish(outcome="cancelled", error="cancelled")


class AgentLoop:
    """One agent, rebuilt from its journal: finished model calls are never made again.

    One turn at a time (`LocalAgent` holds the lock). Events are on disk before what follows from
    them; a turn ends with a `turn.finished` on disk, however it ends, unless the journal is lost.
    """

    def __init__(self, spec: AgentSpec, parts: AgentParts) -> None:
        self._spec = spec
        self._parts = parts
        self._history = History(parts.links.publisher)
        self._notebook = Notebook()
        self._auditor = Auditor(spec, parts.audit)
        self._trees = TreeKeeper(spec, parts, self._history)
        self._runner = ToolRunner(spec, parts, self._notebook, self._trees, self._auditor)
        self._steps: Steps | None = None
        self._work: asyncio.Task[Finish] | None = None
        self._is_fresh = True

    async def start(self) -> None:
        """Read the history and rebuild the conversation. Idempotent.

        A new agent fixes the prompt prefix that it will send for its whole life; one with a
        history sends the recorded bytes.

        Raises:
            HistoryError: what is recorded contradicts itself.
            ValueError: `output_schema` is not JSON.
        """
        if self._steps is not None:
            return
        history = self._history
        await history.read()
        terms = decision_terms(self._spec, self._parts)
        known = history.conversation
        if not known.is_started:
            system = system_prompt(self._spec, self._parts.instructions)
            tools = self._parts.toolbox.schemas()
            digest = prefix_digest(system, tools)
            started = AgentStarted(
                spec=self._spec,
                system=system,
                tools=tools,
                prefix_digest=digest,
                parts=part_digests(system, tools),
                terms=terms,
            )
            history.note(started)
        elif known.spec != self._spec or known.terms != terms:
            if known.spec is not None:
                self._trees.came_from(known.spec)
            history.note(AgentContinued(spec=self._spec, terms=terms))
        self._notebook.todos = history.conversation.todos
        self._steps = Steps(
            self._spec, self._parts, history, self._runner, self._trees, self._auditor
        )

    async def turn(self, message: Message, *, is_cancelled: bool = False) -> TurnResult:
        """Take a turn, or go on with the unfinished one if it has the same message.

        An agent that was just rebuilt and whose last turn has this message and a verdict returns
        that result (see `AgentSpec.finished_turns`). If the caller is cancelled, so is the turn;
        it is recorded, and `CancelledError` goes on. `is_cancelled`: it was cancelled before it
        could begin, which is recorded as well.

        Raises:
            JournalError: the run can keep nothing any more; the turn's end is not recorded.
            NodeLostError: it was told to leave; the turn stays open.
        """
        await self.start()
        assert self._steps is not None
        message = _cleaned(message)
        finished = self._open(message)
        self._is_fresh = False
        if finished is not None:
            await self._trees.go_on(self._runner.rehearse)
            return finished
        self._trees.begin_turn()
        started = self._parts.clock.monotonic()
        finish, was_cancelled = _CANCELLED, False
        if not is_cancelled:
            finish, was_cancelled = await self._run(self._steps)
        result = await self._end(finish, self._parts.clock.monotonic() - started)
        if was_cancelled:
            raise asyncio.CancelledError
        return result

    def cancel(self, finish: Finish = _CANCELLED) -> None:
        """Cancel the running turn, if any; it ends with outcome `cancelled`."""
        if self._work is not None and self._steps is not None and self._steps.stop is None:
            self._steps.stop = finish
            self._work.cancel()

    def leave(self) -> None:
        """Stop the running turn, if any, after its present step; it stays open."""
        if self._work is not None and self._steps is not None:
            self._steps.leaves = True

    def _open(self, message: Message) -> TurnResult | None:
        """Note the start of the turn that is asked for, or give the result that it has."""
        history, turn = self._history, self._history.conversation.turn
        if turn is not None and is_same_message(message, turn.message):
            if turn.result is None:
                return None
            if self._is_meant(turn.result):
                if not self._goes_on(turn.result):
                    return turn.result
                history.note(TurnStarted(turn=turn.number, message=turn.message))
                return None
        if turn is not None and turn.is_open:
            lost = replace(_CANCELLED, error="its process died, and another message came")
            self._note_end(lost, 0.0)
        situation = self._spec.situation
        if situation != history.conversation.situation:
            message = with_situation(message, situation)
        number = 0 if turn is None else turn.number + 1
        history.note(TurnStarted(turn=number, message=message))
        return None

    def _is_meant(self, result: TurnResult) -> bool:
        """Whether a finished turn with the same message is the one that is asked for."""
        if result.outcome == "waiting":
            return True
        known = self._spec.finished_turns
        return self._is_fresh and (
            known is None or self._history.conversation.finished_turns > known
        )

    def _goes_on(self, result: TurnResult) -> bool:
        if result.outcome == "max_steps":  # the limits may have been raised
            spec = self._spec
            return result.steps < spec.max_steps and result.tool_calls < spec.max_tool_calls
        return result.outcome in _GOES_ON

    async def _run(self, steps: Steps) -> tuple[Finish, bool]:
        """Do the steps; how they ended, and whether the caller was cancelled."""
        steps.stop = None
        self._runner.children = self._parts.links.children
        self._runner.runs = self._parts.links.runs
        self._work = work = asyncio.create_task(steps.run())
        watch = self._watch()
        was_cancelled = False
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            was_cancelled = True
            self.cancel()
            await outlast(work)
        finally:
            self._work = None
            if watch is not None:
                watch.cancel()
        return self._verdict(work, steps), was_cancelled

    def _watch(self) -> asyncio.Task[None] | None:
        """Watch the turn's wall time, if it has a limit; children's time is not counted.

        A turn that goes on after a crash has what its finished calls left.
        """
        limit_s, turn = self._spec.timeout_s, self._history.conversation.turn
        if limit_s is None:
            return None
        busy_s = turn.busy_ms / 1000 if turn is not None else 0.0
        deadline = Deadline(self._parts.clock, max(limit_s - busy_s, 0.0))
        if self._runner.children is not None:
            self._runner.children = PausingChildren(self._runner.children, deadline)
        if self._runner.runs is not None:
            self._runner.runs = PausingRuns(self._runner.runs, deadline)

        async def watch() -> None:
            await deadline.wait()
            self.cancel(Finish(outcome="timeout", error=f"the limit of {limit_s:g} s is reached"))

        return asyncio.create_task(watch())

    def _verdict(self, work: asyncio.Task[Finish], steps: Steps) -> Finish:
        if work.cancelled():
            return steps.stop or _CANCELLED
        error = work.exception()
        if error is None:
            return work.result()
        ours = JournalError | NodeLostError | MemoryExceededError
        if isinstance(error, ours) or not isinstance(error, Exception):
            raise error
        return self._failure(error)

    def _failure(self, error: Exception) -> Finish:
        """The end of a turn that an error ended; one that is no error of ours names its class."""
        kind = type(error).__name__
        text = str(error) if isinstance(error, CodetetherError) else f"{kind}: {error}"
        finish = Finish(outcome="failed", error=text, error_kind=kind)
        if isinstance(error, BudgetSpentError):
            return replace(finish, outcome="budget")
        if isinstance(error, QuotaSpentError) and error.resets_in_s is not None:
            at = self._parts.clock.now() + error.resets_in_s
            waits = error.resets_in_s <= self._spec.wait_quota_s
            return replace(finish, outcome="waiting" if waits else "failed", resumes_at=at)
        return finish

    async def _end(self, finish: Finish, elapsed_s: float) -> TurnResult:
        """Record the end of the turn, through any cancellation."""
        await self._trees.look()
        result = self._note_end(finish, elapsed_s)
        await self._history.keep()
        return result

    def _note_end(self, finish: Finish, elapsed_s: float) -> TurnResult:
        """Note how the turn ended; calls without a result get one first."""
        assert self._steps is not None
        self._steps.stop = finish
        decision = self._steps.decide()
        if isinstance(decision, Settle):
            self._history.note(*self._trees.told(decision.results))
        turn = self._history.conversation.turn
        assert turn is not None
        result = TurnResult(
            outcome=finish.outcome,
            text=turn.text if finish.text is None else finish.text,
            usage=turn.usage,
            cost_usd=turn.cost_usd,
            steps=turn.steps,
            tool_calls=turn.tool_calls,
            elapsed_s=round(elapsed_s, 3),
            error=finish.error,
            error_kind=finish.error_kind,
            resumes_at=finish.resumes_at,
        )
        self._history.note(TurnFinished(turn=turn.number, result=result))
        return result


def _cleaned(message: Message) -> Message:
    return replace(message, parts=tuple(_cleaned_part(part) for part in message.parts))


def _cleaned_part(part: Part) -> Part:
    return replace(part, text=clean(part.text)) if isinstance(part, Text) else part
