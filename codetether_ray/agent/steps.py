"""The steps of a turn: what was decided is done, and noted."""

import asyncio
import json
from dataclasses import replace
from typing import Literal

from codetether_ray.agent import compaction, tokens
from codetether_ray.agent.asking import Asker, Grant, model_limits, model_name
from codetether_ray.agent.auditing import Auditor
from codetether_ray.agent.compaction import Clear, Summarise
from codetether_ray.agent.conversation import PendingCall
from codetether_ray.agent.decide import (
    CallModel,
    Decision,
    Finish,
    Limits,
    Nudge,
    RunTools,
    Settle,
    decide,
    not_run,
)
from codetether_ray.agent.digests import MessageChain
from codetether_ray.agent.history import History
from codetether_ray.agent.ids import with_unique_ids
from codetether_ray.agent.parts import AgentParts
from codetether_ray.agent.tooling import ToolRunner
from codetether_ray.agent.trees import WRITING, TreeKeeper
from codetether_ray.core import failpoints
from codetether_ray.core.errors import (
    AuditError,
    CodetetherError,
    ContextOverflowError,
    JournalError,
    NodeLostError,
)
from codetether_ray.core.events import (
    Compacted,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    Nudged,
    ToolFinished,
    ToolStarted,
)
from codetether_ray.core.messages import Message, user
from codetether_ray.core.models import ModelRequest, ModelResponse
from codetether_ray.core.spec import AgentSpec
from codetether_ray.ports.tool import Effect

_SUMMARY_TOKENS = 2_048
_OVERFLOWS = 2  # how often one step may be shortened because the provider finds it too long


class Steps:
    """Decides and does, until there is nothing to do; `stop` ends it at the next decision."""

    def __init__(
        self,
        spec: AgentSpec,
        parts: AgentParts,
        history: History,
        runner: ToolRunner,
        trees: TreeKeeper,
        auditor: Auditor,
    ) -> None:
        self.stop: Finish | None = None
        self.leaves = False
        """Whether no other step begins here: the turn stays open, and goes on elsewhere."""
        self._spec = spec
        self._parts = parts
        self._history = history
        self._runner = runner
        self._trees = trees
        self._auditor = auditor
        self._model = model_limits(spec, parts)
        self._asker = Asker(parts, self._model, spec)
        self._chain = MessageChain(history.conversation.prefix_digest)
        self._is_overflowing = False
        self._overflows = 0  # since the last answer
        self._schema = json.loads(spec.output_schema) if spec.output_schema else None
        self._limits = Limits(
            max_steps=spec.max_steps,
            max_tool_calls=spec.max_tool_calls,
            room=self._model.room,
            effects=_effects(parts),
            schema=self._schema,
        )
        self._call_ids = {call.id for m in history.conversation.messages for call in m.tool_calls}

    async def run(self) -> Finish:
        """Go on with the open turn until its end.

        Raises:
            NodeLostError: it was told to leave.
            CodetetherError: a model call failed, the budget is spent, the journal or the audit log
                is broken, the tree of a rebuilt agent cannot be had again.
        """
        await self._trees.go_on(self._runner.rehearse)
        while True:
            self._trees.tell()
            decision = self.decide()
            if isinstance(decision, Finish):
                return decision
            if self.leaves and isinstance(decision, CallModel | Summarise):
                await self._history.keep()
                raise NodeLostError(self._spec.path, "its node is about to go", self._spec.node)
            await self._do(decision)

    def decide(self) -> Decision:
        """What comes next."""
        limits = self._limits
        if self.stop is not None or self._is_overflowing:
            limits = replace(limits, stop=self.stop, is_overflowing=self._is_overflowing)
        return decide(self._history.conversation, limits)

    async def _do(self, decision: Decision) -> None:
        if isinstance(decision, CallModel):
            await self._ask()
        elif isinstance(decision, RunTools):
            await self._run_tools(decision.groups)
        elif isinstance(decision, Settle):
            await self._settle(decision.results)
        elif isinstance(decision, Nudge):
            step = self._history.conversation.step
            self._history.note(Nudged(step=step, reason=decision.reason, text=decision.text))
        elif isinstance(decision, Clear):
            self._is_overflowing = False
            step = self._history.conversation.step
            self._history.note(Compacted(step=step, stage="results", call_ids=decision.call_ids))
        elif isinstance(decision, Summarise):
            await self._summarise(decision.keep_from)

    async def _ask(self) -> None:
        """One step's model call; a prompt that is too long is left to the next decision."""
        conversation = self._history.conversation
        reserved = self._asker.reserved(conversation.prompt_tokens, self._model.max_output)
        async with reserved as grant:
            request = ModelRequest(
                model=model_name(self._spec),
                system=conversation.system,
                messages=conversation.messages,
                tools=conversation.tools,
                max_tokens=grant.max_tokens,
                temperature=self._spec.temperature,
                agent=self._spec.path,
                step=conversation.step,
                output_schema=self._schema,
            )
            digest = self._chain.digest(conversation.messages)
            try:
                await self._call(request, grant, digest, len(conversation.messages), "step")
            except ContextOverflowError as error:
                if self._overflows == _OVERFLOWS or not self._can_shorten():
                    self._failed(request, error, grant)
                    raise
                self._overflows += 1
                self._is_overflowing = True
                return
            except JournalError:
                raise
            except (CodetetherError, asyncio.CancelledError) as error:
                self._failed(request, error, grant)
                raise
            self._overflows = 0

    async def _call(
        self,
        request: ModelRequest,
        grant: Grant,
        digest: str,
        messages: int,
        purpose: Literal["step", "compaction"],
    ) -> ModelResponse:
        history, clock = self._history, self._parts.clock
        attempt = history.conversation.attempts
        history.note(
            ModelRequested(
                step=request.step,
                attempt=attempt,
                model=self._spec.model,
                digest=digest,
                messages=messages,
                parts=self._chain.parts() if purpose == "step" else (),
                purpose=purpose,
            )
        )
        trace = self._parts.links.trace
        if trace is not None:
            told = trace.of_model(self._spec.path, purpose, request.step, attempt)
            request = replace(request, traceparent=told)
        # the results that this request carries are on disk before it is sent
        action = self._auditor.model(request, digest, purpose)
        (id,) = await self._auditor.beside(history.keep(), action)
        failpoints.hit("model.requested")
        started = clock.monotonic()
        try:
            response = await self._asker.ask(request, grant)
        except BaseException as error:
            self._auditor.failed(id, error)
            raise
        self._auditor.answered(id, response)
        failpoints.hit("model.responded")
        message = with_unique_ids(response.message, self._call_ids, request.step)
        if message is not response.message:
            response = replace(response, message=message)
        elapsed_ms = int((clock.monotonic() - started) * 1000)
        history.note(
            ModelResponded(
                step=request.step, response=response, elapsed_ms=elapsed_ms, purpose=purpose
            )
        )
        return response

    def _failed(self, request: ModelRequest, error: BaseException, grant: Grant) -> None:
        """Note the failure, with what is billed for it; a call cut off before a word is none."""
        usage, price = grant.cut, self._model.price
        if isinstance(error, asyncio.CancelledError) and not usage.total_tokens:
            return
        cost = price.cost_usd(usage) if price is not None else None
        self._history.note(
            ModelFailed(
                step=request.step,
                error_kind=type(error).__name__,
                error=str(error) or "it was cut off",
                usage=usage,
                cost_usd=cost if usage.total_tokens else 0.0,
            )
        )

    def _can_shorten(self) -> bool:
        limits = replace(self._limits, is_overflowing=True)
        return isinstance(decide(self._history.conversation, limits), (Clear, Summarise))

    async def _run_tools(self, groups: tuple[tuple[PendingCall, ...], ...]) -> None:
        step = self._history.conversation.step - 1
        for group in groups:
            await self._begin(group, step)
            ids = await self._allowed(group, step)
            if self.stop is not None:
                for id in ids:
                    self._auditor.end(id, "failure", {"error": "CancelledError"})
                return
            failpoints.hit("tool.begun")
            writes = any(self._effect(p.call.name) in WRITING for p in group)
            await self._runner.run_group(group, step, ids, self._history.note, writes=writes)

    async def _begin(self, group: tuple[PendingCall, ...], step: int) -> None:
        """Note that calls start, with the tree before them."""
        effects = {self._effect(p.call.name) for p in group}
        tree = await self._trees.before(step) if effects & WRITING else ""
        self._history.note(
            *(
                ToolStarted(
                    step=step,
                    call=p.call,
                    effect=self._effect(p.call.name),
                    policy=self._auditor.policy,
                    snapshot=tree,
                )
                for p in group
                if not p.is_started
            )
        )

    async def _allowed(self, group: tuple[PendingCall, ...], step: int) -> tuple[str, ...]:
        """Wait until the answer, the start and the intents are on disk: before the effect.

        Raises:
            AuditError: the intents are not; the calls are settled as not run.
        """
        known = self._limits.effects
        actions = (self._auditor.tool(p.call, known.get(p.call.name), step) for p in group)
        try:
            return await self._auditor.beside(self._history.keep(), *actions)
        except AuditError as error:
            self._history.note(*(not_run(p, str(error), step) for p in group))
            raise

    async def _settle(self, results: tuple[ToolFinished, ...]) -> None:
        """Note results of calls that are not run; a refusal by a limit is audited."""
        refused = {
            p.call.id: p.call
            for p in self._history.conversation.pending
            if not p.is_started and not p.is_cut
        }
        for each in results:
            call = refused.get(each.result.call_id)
            if call is not None and self.stop is None:
                effect = self._limits.effects.get(call.name)
                await self._auditor.refuse(call, effect, "limit")
        self._history.note(*self._trees.told(results))

    def _effect(self, name: str) -> str:
        return str(self._limits.effects.get(name, Effect.READ))

    async def _summarise(self, keep_from: int) -> None:
        self._is_overflowing = False
        conversation = self._history.conversation
        response = conversation.summary
        if response is None:
            response = await self._summary(keep_from)
        text = response.message.text.strip() if response is not None else ""
        step = self._history.conversation.step
        self._history.note(
            Compacted(
                step=step,
                stage="summary",
                summary=text or compaction.bare_summary(conversation, keep_from),
                keep_from=keep_from,
            )
        )

    async def _summary(self, keep_from: int) -> ModelResponse | None:
        """A model's summary; None if even the transcript is too long for it."""
        conversation = self._history.conversation
        room, most = self._model.room, min(_SUMMARY_TOKENS, self._model.max_output)
        message = user(compaction.summary_request(conversation, keep_from, room))
        prompt_tokens = int(_weight(message) * conversation.calibration) + 1
        async with self._asker.reserved(prompt_tokens, most) as grant:
            request = ModelRequest(
                model=model_name(self._spec),
                system=compaction.SUMMARY_SYSTEM,
                messages=(message,),
                max_tokens=grant.max_tokens,
                temperature=self._spec.temperature,
                agent=self._spec.path,
                step=conversation.step,
            )
            digest = MessageChain("").digest(request.messages)
            try:
                return await self._call(request, grant, digest, keep_from, "compaction")
            except ContextOverflowError:
                return None
            except JournalError:
                raise
            except (CodetetherError, asyncio.CancelledError) as error:
                self._failed(request, error, grant)
                raise


def _weight(message: Message) -> int:
    return tokens.of_message(message) + tokens.of_text(compaction.SUMMARY_SYSTEM)


def _effects(parts: AgentParts) -> dict[str, Effect]:
    names = (schema.name for schema in parts.toolbox.schemas())
    return {name: parts.toolbox.effect(name) or Effect.READ for name in names}
