"""A relay where its run lives: its objective settled first, where it has one."""

import asyncio
import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

from codetether_ray.bootstrap.auditing.workspaces import audited_workspace
from codetether_ray.bootstrap.home import RunHome
from codetether_ray.bootstrap.known_secrets import stored_values
from codetether_ray.bootstrap.measuring.measurer import Measurer, MeasuringTerms
from codetether_ray.bootstrap.measuring.rubric import ModelJudge
from codetether_ray.bootstrap.measuring.tree import source_of
from codetether_ray.bootstrap.okr_store import Okrs, open_okrs
from codetether_ray.bootstrap.relay.gate import Gate, Settled, drafts
from codetether_ray.bootstrap.relay.request import RelayRequest
from codetether_ray.bootstrap.relay.scoring import OkrScoring, objective, told
from codetether_ray.bootstrap.resuming import resume_command
from codetether_ray.bootstrap.run_home import Ask, Place, delivered, recorded, spent_by
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError, DraftingFailedError
from codetether_ray.core.events import ToolOutput, Warned
from codetether_ray.core.masking import Masker
from codetether_ray.core.okrs import GoOutcome, KeyResult, OkrRun
from codetether_ray.core.spec import Correlation
from codetether_ray.core.topics import topic
from codetether_ray.core.usage import Usage
from codetether_ray.ports.bus import Bus, Envelope
from codetether_ray.ports.workspace import Workspace
from codetether_ray.relay.coordinator import RelayCoordinator, outcome_after
from codetether_ray.relay.memory import Memory
from codetether_ray.relay.result import RelayResult
from codetether_ray.relay.schedule import RelayOutcome
from codetether_ray.relay.turns import Announce
from codetether_ray.sandbox.leftovers import marks
from codetether_ray.sandbox.local import LocalSandbox

_SCRATCH = "measuring"
"""Below the data directory: the clean trees of runs, while they are measured."""
_MEASURER = "measure"
"""As what the processes of measurements are marked."""


async def relay_in_home(home: RunHome, request: RelayRequest, ask: Ask) -> JsonObject:
    """Run the relay to its result, the object that `--format json` prints.

    Cancelled, it ends the agents and returns a result of outcome `interrupted`.

    Raises:
        CodetetherError: there is nothing to work on, or no objective could be drafted.
    """
    voice = home.voices.of_run()
    if request.resumed:
        voice.correlate(request.correlated(drafts(await voice.history())))
    relay = _Relay(home, request, ask)
    result = await recorded(home, request, relay.work, relay.cancelled)
    assert result is not None
    return result


def unrecorded(request: RelayRequest, error: CodetetherError) -> JsonObject:
    """The result of a relay whose end could not be recorded; what it had finished is kept."""
    return RelayResult(
        relay_id=request.relay_id,
        outcome="failed",
        model=request.model,
        has_key_results=request.is_gated,
        error=str(error),
        error_kind=type(error).__name__,
    ).to_json()


class _Relay:
    """One relay in its home."""

    def __init__(self, home: RunHome, request: RelayRequest, ask: Ask) -> None:
        self._home = home
        self._request = request
        self._ask = ask
        self._okrs: Okrs = open_okrs(truth_here(Path(request.data_dir)))
        self._coordinator: RelayCoordinator | None = None
        self._settled: Settled | None = None

    async def work(self, place: Place) -> JsonObject:
        if not self._request.is_gated:
            return await self._run(place, self._made(place, None))
        gate = Gate(self._home, self._request, place, self._okrs, self._ask)
        try:
            settled = self._settled = await gate.settle()
        except DraftingFailedError as error:
            return await self._undrafted(error)
        status = settled.run.status
        if status in ("pending_approval", "denied", "cancelled"):
            return await self._unbegun(settled, cast("RelayOutcome", status))
        if status == "completed" and not await self._has_more_rounds(settled.run):
            # all that may be left is to give the result to the user
            return await self._run(place, self._made(place, await self._scoring(place, settled)))
        okr, run = await self._okrs.begin(settled.run.id, self._request.relay_id)
        return await self._pursued(place, Settled(okr=okr, run=run))

    async def _has_more_rounds(self, run: OkrRun) -> bool:
        """Whether a run that did all its rounds is given further ones."""
        led = Memory.of(await self._home.voices.of_run().history())
        return run.outcome == "max_rounds" and self._request.rounds > led.rounds

    def cancelled(self) -> JsonObject:
        """What there is to say of it when it was cancelled."""
        reached = self._coordinator.result if self._coordinator else None
        return (
            reached or replace(self._blank("interrupted"), error="the relay was interrupted")
        ).to_json()

    async def _pursued(self, place: Place, settled: Settled) -> JsonObject:
        """Work for the objective, and tell the store how that ended."""
        self._settled = settled
        outcome: GoOutcome = "failed"
        try:
            return await self._run(place, self._made(place, await self._scoring(place, settled)))
        except asyncio.CancelledError:
            outcome = "interrupted"
            raise
        finally:  # how the work ended, whatever became of giving it to the user
            if self._coordinator is not None and self._coordinator.result is not None:
                outcome = cast("GoOutcome", self._coordinator.result.outcome)
            await asyncio.shield(self._end(settled, outcome))

    # -- the relay --------------------------------------------------------------------------------

    async def _run(self, place: Place, coordinator: RelayCoordinator) -> JsonObject:
        self._coordinator = coordinator
        result = await coordinator.run()
        workspace = self._workspace(place, self._correlation)
        out = await delivered(
            self._request, workspace, result.to_json(), is_success=result.is_success
        )
        if out["outcome"] == result.outcome:
            return out
        # it could not be delivered; what was done is done all the same
        again = resume_command("relay", self._request.run_id, "--merge")
        return {**out, "outcome": result.outcome, "resume": again}

    def _made(self, place: Place, scoring: OkrScoring | None) -> RelayCoordinator:
        home, request = self._home, self._request
        here = replace(request, directory=place.directory)
        correlation = self._correlation
        goal = objective(self._settled.okr) if self._settled is not None else ""
        voice = home.voices.of_run()
        voice.correlate(correlation)

        async def spent() -> tuple[Usage, float | None]:
            return await spent_by(request)

        return RelayCoordinator(
            here.options(correlation, goal),
            home.runtime,
            self._workspace(place, correlation),
            voice,
            home.clock,
            scoring=scoring,
            announce=announcing(home.bus, request.relay_id),
            spent=spent,
            elapsed_s=place.worked_s,
        )

    @property
    def _correlation(self) -> Correlation:
        """What the relay's work belongs to, once its objective is settled."""
        if self._settled is None:
            return self._request.correlation
        okr, run = self._settled.okr, self._settled.run
        return replace(self._request.correlation, okr_id=okr.id, okr_run_id=run.id)

    def _workspace(self, place: Place, correlation: Correlation) -> Workspace:
        return audited_workspace(place.trees, place.audit, correlation, self._request.kind)

    async def _scoring(self, place: Place, settled: Settled) -> OkrScoring:
        request, home = self._request, self._home
        data_dir, base = Path(request.data_dir), await place.workspace.open()
        template = replace(request.template("relay", "aide"), root=place.directory)
        provider = request.model.partition("/")[0]
        known = await stored_values(os.environ, open_secret_store(os.environ, data_dir), provider)
        measurer = Measurer(
            settled.okr.key_results,
            MeasuringTerms(
                source=await source_of(place.trees),
                scratch=data_dir / _SCRATCH / request.relay_id,
                setup=request.setup,
                copy=request.copy,
            ),
            LocalSandbox(marks=marks(request.relay_id, _MEASURER)),
            home.clock,
            judge=ModelJudge(
                home.runtime,
                replace(template, correlation=self._correlation),
                request.tools()["planner"],
            ),
            mask=Masker(known),
            on_output=self._show,
        )
        return OkrScoring(self._okrs, settled.okr, settled.run, measurer, base.commit, home.clock)

    def _show(self, key_result: KeyResult, text: str) -> None:
        self._home.voices.of_run().emit(ToolOutput(call_id=f"measure/{key_result.id}", text=text))

    # -- the objective's end ----------------------------------------------------------------------

    async def _end(self, settled: Settled, outcome: GoOutcome) -> None:
        """Tell the store; that it cannot be told loses nothing: a resume tells it."""
        try:
            await self._okrs.end(settled.run.id, outcome)
        except CodetetherError as error:
            self._home.voices.of_run().emit(
                Warned(text=f"the OKR does not say how it ended: {error}")
            )

    async def _unbegun(self, settled: Settled, outcome: RelayOutcome) -> JsonObject:
        """The result of a relay that nobody approved."""
        usage, cost_usd = await spent_by(self._request)
        run = settled.run
        made = run.approval
        by = f" by {made.approver}" if made is not None and made.approver else ""
        reasons = {
            "denied": f"the objective was denied{by}",
            "cancelled": "the objective was cancelled",
            "pending_approval": "nobody has approved the objective yet: "
            f"`codetether okr approve --id {run.id}` does",
        }
        result = replace(
            self._blank(outcome),
            reason=reasons[outcome],
            error=reasons[outcome],
            usage=usage,
            cost_usd=cost_usd,
        )
        waiting: list[JsonObject] = [
            {"id": kr.id, "value": None, "is_met": False, **told(kr), "readings": []}
            for kr in settled.okr.key_results
        ]
        return {**result.to_json(), "objective": settled.okr.title, "key_results": list(waiting)}

    async def _undrafted(self, error: DraftingFailedError) -> JsonObject:
        """The result of a relay whose objective could not be drafted yet; a resume tries again."""
        usage, cost_usd = await spent_by(self._request)
        blank = self._blank(outcome_after(error.outcome))
        return replace(
            blank,
            error=str(error),
            error_kind=error.error_kind,
            usage=usage,
            cost_usd=cost_usd,
        ).to_json()

    def _blank(self, outcome: RelayOutcome) -> RelayResult:
        settled = self._settled
        return RelayResult(
            relay_id=self._request.relay_id,
            outcome=outcome,
            model=self._request.model,
            has_key_results=self._request.is_gated,
            okr_id=settled.okr.id if settled else "",
            okr_run_id=settled.run.id if settled else "",
        )


def announcing(bus: Bus, relay_id: str) -> Announce:
    """Puts handoffs on the bus, where a dashboard or another agent may read them."""

    async def announce(sender: str, to: str, text: str) -> None:
        payload = json.dumps(
            {"relay_id": relay_id, "from": sender, "to": to, "text": text}, ensure_ascii=False
        ).encode()
        topics = (topic("agent", f"relay/{to}"), topic("relay", relay_id))
        with suppress(CodetetherError):  # the journal is the truth; nobody waits for the bus
            await bus.publish([Envelope(topic=t, sender=sender, payload=payload) for t in topics])

    return announce
