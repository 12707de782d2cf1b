"""OKRs as commands and runs reach them: in the truth's store, wherever that is."""

import time
from dataclasses import dataclass
from typing import Any

from codetether_ray.bootstrap.truth import okrs as asked
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.core.measures import KrReading
from codetether_ray.core.okrs import ApprovalDecision, GoOutcome, Okr, OkrRun
from codetether_ray.okr.stamps import fresh, moment


@dataclass(frozen=True, slots=True)
class Okrs:
    """The OKRs of a truth. Each method is one transaction there.

    Raises, in each method:
        ClusterError: the head does not answer.
        OkrStoreError: the store cannot be used.
        UnknownOkrError: there is nothing of that id.
    """

    truth: Truth

    async def add(self, okr: Okr, run: OkrRun | None = None) -> None:
        """Store a draft, and a run of it that waits for approval; a second time does nothing.

        Raises:
            InvalidOkrError: it is not sound.
        """
        await self._ask(asked.ADD, okr, run)

    async def add_run(self, run: OkrRun) -> None:
        """Store another run of an OKR."""
        await self._ask(asked.ADD_RUN, run)

    async def get(self, okr_id: str) -> Okr:
        """The OKR of that id."""
        found: Okr = await self._ask(asked.GET, okr_id)
        return found

    async def get_run(self, run_id: str) -> OkrRun:
        """The run of that id."""
        found: OkrRun = await self._ask(asked.GET_RUN, run_id)
        return found

    async def find(self, text: str) -> tuple[Okr, OkrRun | None]:
        """What an id, its beginning, or a relay's id means."""
        found: tuple[Okr, OkrRun | None] = await self._ask(asked.FIND, text)
        return found

    async def readings(self, run_id: str) -> tuple[KrReading, ...]:
        """What was measured in a run, oldest first."""
        found: tuple[KrReading, ...] = await self._ask(asked.READINGS, run_id)
        return found

    async def approve(
        self, run_id: str, by: str, *, reason: str = "", seen: int | None = None
    ) -> tuple[Okr, OkrRun]:
        """Approve a run that waits for it; `seen` is the version of the OKR that was shown.

        Raises:
            OkrTransitionError: somebody decided before; who and when is said.
            OkrChangedError: the OKR is not the one that was shown.
        """
        return await self._decide(_decision(run_id, "approved", by, reason), seen)

    async def deny(
        self, run_id: str, by: str, *, reason: str = "", seen: int | None = None
    ) -> tuple[Okr, OkrRun]:
        """Deny a run that waits for approval; see `approve`."""
        return await self._decide(_decision(run_id, "denied", by, reason), seen)

    async def edit(self, run_id: str, edited: Okr, *, seen: int) -> tuple[Okr, OkrRun]:
        """Put an edited draft in the place of the one with version `seen`.

        Raises:
            OkrTransitionError: somebody decided on it.
            OkrChangedError: it was changed meanwhile.
        """
        return await self._pair(asked.EDIT, run_id, edited, seen, moment(time.time()))

    async def begin(self, run_id: str, relay_id: str) -> tuple[Okr, OkrRun]:
        """Let an approved run begin, or one that began go on, by the relay `relay_id`.

        Raises:
            NotApprovedError: nobody approved it.
            OkrTransitionError: it is over, or another relay's.
        """
        return await self._pair(asked.BEGIN, run_id, relay_id, moment(time.time()))

    async def record(self, run_id: str, readings: tuple[KrReading, ...]) -> tuple[Okr, OkrRun]:
        """Keep what was measured; a second time does nothing. Both as they are by it."""
        return await self._pair(asked.RECORD, run_id, readings, moment(time.time()))

    async def end(self, run_id: str, outcome: GoOutcome) -> tuple[Okr, OkrRun]:
        """A run is over, or pauses, by its outcome.

        Raises:
            OkrTransitionError: it is not under way, or `all_met` is not true.
        """
        return await self._pair(asked.END, run_id, outcome, moment(time.time()))

    async def cancel(self, run_id: str) -> tuple[Okr, OkrRun]:
        """Give a run up for good.

        Raises:
            OkrTransitionError: it is over.
        """
        return await self._pair(asked.CANCEL, run_id, moment(time.time()))

    async def _decide(self, decision: ApprovalDecision, seen: int | None) -> tuple[Okr, OkrRun]:
        return await self._pair(asked.DECIDE, decision.run_id, decision, seen)

    async def _pair(self, function: str, *arguments: Any) -> tuple[Okr, OkrRun]:
        okr, run = await self._ask(function, *arguments)
        return okr, run

    async def _ask(self, function: str, *arguments: Any) -> Any:
        return await self.truth.ask(function, *arguments)


def open_okrs(truth: Truth) -> Okrs:
    """The OKRs of a truth; nothing is opened before something is asked."""
    return Okrs(truth)


def _decision(run_id: str, decision: str, by: str, reason: str) -> ApprovalDecision:
    return ApprovalDecision(
        id=fresh(""),
        run_id=run_id,
        decision="approved" if decision == "approved" else "denied",
        reason=reason,
        approver=by,
        decided_at=moment(time.time()),
    )
