"""OKRs over the network: who sees which, who decides, and how the work on one starts.

An OKR belongs to its `owner` (within `tenant_id`, where it has one). Functions with a `home` are
called on the truth; the others work on a desk.
"""

import asyncio
import os
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

from codetether_ray.bootstrap.control.desk import Desk
from codetether_ray.bootstrap.control.making import RELAY
from codetether_ray.bootstrap.control.orders import Leave, Limits, RelayOrder, Source
from codetether_ray.bootstrap.control.owned import is_of
from codetether_ray.bootstrap.known_secrets import holds_any, values_here
from codetether_ray.bootstrap.truth import okrs as stored
from codetether_ray.bootstrap.truth import runs
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.core.codec import JsonObject, decode, encode_object
from codetether_ray.core.errors import (
    NotApprovedError,
    OkrTransitionError,
    RunBusyError,
    UnknownOkrError,
    UnknownRunError,
    UsageError,
)
from codetether_ray.core.masking import Masker
from codetether_ray.core.okrs import ApprovalDecision, Okr, OkrRun
from codetether_ray.core.principals import Principal
from codetether_ray.core.spec import Correlation
from codetether_ray.okr.rules import read_okr
from codetether_ray.okr.stamps import fresh, moment
from codetether_ray.okr.transitions import is_extensible, is_over, is_resumable, submit
from codetether_ray.ports.audit import Action

ALL, FIND, CREATE = f"{__name__}:every", f"{__name__}:find", f"{__name__}:create"
DECIDE, CANCEL = f"{__name__}:decide", f"{__name__}:cancel"
_ORDER = "order"
"""In `OkrRun.request`: what starts the work once it is approved."""

Found = tuple[Okr, tuple[OkrRun, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOrder:
    """What an OKR's run works on, and with what."""

    source: Source
    limits: Limits
    count: int | None = None
    rounds: int | None = None


# -- on the truth ---------------------------------------------------------------------------------


def is_mine(okr: Okr, owner: str | None) -> bool:
    """Whether an OKR is among those that the owner finds; see `owned`."""
    return is_of(owner, f"{okr.tenant_id}/{okr.owner}" if okr.tenant_id else okr.owner or "")


def every(home: Home, owner: str | None) -> tuple[tuple[Okr, ...], tuple[OkrRun, ...]]:
    """The owner's OKRs and their runs, oldest first."""
    okrs, found = stored.every(home)
    mine = tuple(okr for okr in okrs if is_mine(okr, owner))
    ids = {okr.id for okr in mine}
    return mine, tuple(run for run in found if run.okr_id in ids)


def find(home: Home, text: str, owner: str | None) -> Found:
    """The OKR with its runs, or with the one run, that `text` means; see `okrs.find`.

    Raises:
        UnknownOkrError: the owner has none.
    """
    okr, run = stored.find(home, text)
    if not is_mine(okr, owner):
        raise UnknownOkrError(text)
    if run is not None:
        return okr, (run,)
    return okr, tuple(one for one in stored.every(home)[1] if one.okr_id == okr.id)


async def create(
    home: Home, draft: JsonObject, principal: Principal, order: WorkOrder | None
) -> tuple[Okr, OkrRun]:
    """Store an OKR, and a run of it that waits for approval.

    Raises:
        InvalidOkrError: it is not sound; the place is a JSON path.
        UsageError: a key that is stored here is in it.
    """
    now = moment(time.time())
    okr = read_okr(draft, fresh, now)
    if holds_any(await values_here(os.environ, home.data_dir), str(okr)):
        raise UsageError("the OKR holds a key that is stored here; take it out")
    okr = replace(okr, owner=principal.user_id, tenant_id=principal.tenant_id or None)
    name = time.strftime("Run %Y-%m-%d %H:%M", time.gmtime())
    kept: JsonObject = {} if order is None else {_ORDER: encode_object(order)}
    run = submit(OkrRun(id=fresh(""), okr_id=okr.id, name=name, request=kept), now)
    okr, made = stored.add(home, okr, run)
    assert made is not None
    return okr, made


async def decide(
    home: Home,
    id: str,
    decision: Literal["approved", "denied"],
    reason: str,
    principal: str,
    owner: str | None,
    seen: int | None,
) -> tuple[Okr, OkrRun]:
    """Decide on the run that waits; of several who do at once one wins.

    Raises:
        UnknownOkrError: the owner has no such run.
        OkrTransitionError: somebody decided before.
        OkrChangedError: the OKR is not the one of version `seen`.
    """
    known = await values_here(os.environ, home.data_dir)
    made = ApprovalDecision(
        id=fresh(""),
        run_id="",
        decision=decision,
        reason=Masker(known, with_shapes=False)(reason),
        approver=principal,
        decided_at=moment(time.time()),
    )
    return await asyncio.to_thread(_decided, home, id, made, owner, seen)


def _decided(
    home: Home, id: str, made: ApprovalDecision, owner: str | None, seen: int | None
) -> tuple[Okr, OkrRun]:
    from codetether_ray.bootstrap.auditing.opening import acting

    okr, found = find(home, id, owner)
    run = _waiting(id, found)
    action = Action(
        category="okr",
        action="okr.decide",
        resource=run.id,
        principal=made.approver or "",
        correlation=_ids(okr, run),
    )
    with acting(home.data_dir, action) as done:
        okr, run = stored.decide(home, run.id, replace(made, run_id=run.id), seen)
        done.outcome = "success" if made.decision == "approved" else "denied"
    return okr, run


def cancel(home: Home, id: str, principal: str, owner: str | None) -> tuple[Okr, OkrRun, bool]:
    """Give a run up for good; whether its relay was under way, and told to stop.

    Raises:
        UnknownOkrError: the owner has no such run.
        OkrTransitionError: it is over.
    """
    okr, found = find(home, id, owner)
    run = _open(id, found)
    okr, run = stored.cancel(home, run.id, moment(time.time()))
    if not run.relay_id:
        return okr, run, False
    try:
        return okr, run, runs.cancel(home, run.relay_id, principal)
    except UnknownRunError:  # its relay never began
        return okr, run, False


def _ids(okr: Okr, run: OkrRun) -> Correlation:
    relay = run.relay_id or ""
    return Correlation(run_id=relay, relay_id=relay, okr_id=okr.id, okr_run_id=run.id)


def _waiting(id: str, found: tuple[OkrRun, ...]) -> OkrRun:
    if not found:
        raise UnknownOkrError(id, "run of OKR")
    pending = [run for run in found if run.status == "pending_approval"]
    return (pending or list(found))[-1]


def _open(id: str, found: tuple[OkrRun, ...]) -> OkrRun:
    if not found:
        raise UnknownOkrError(id, "run of OKR")
    return next((run for run in reversed(found) if not is_over(run)), found[-1])


# -- at a desk ------------------------------------------------------------------------------------


async def start(
    truth: Truth, desk: Desk, id: str, leave: Leave, owner: str | None,
    order: WorkOrder | None = None,
) -> tuple[str, tuple[str, ...]]:  # fmt: skip
    """Start an approved run's relay, or have it go on; the relay's id, and sentences to read.

    `order` counts before what was stored with the OKR.

    Raises:
        UnknownOkrError: the owner has none.
        NotApprovedError: nobody has approved it yet.
        OkrTransitionError: it is over.
        CodetetherError: the run could not be started.
    """
    found: Found = await truth.ask(FIND, id, owner)
    okr, run = found[0], _open(id, found[1])
    _refuse(run)
    notes: list[str] = []
    work = order or _ordered(run)
    relay = RelayOrder(
        okr_run_id=run.id,
        task=f"{okr.title}\n\n{okr.description}".strip(),
        source=work.source if work else Source(),
        limits=work.limits if work else Limits(),
        count=work.count if work else None,
        rounds=work.rounds if work else None,
        resumes=run.relay_id or "",
    )
    request, said = await truth.ask(RELAY, relay, leave)
    notes += said
    return await desk.start(request, notes.append), tuple(notes)


async def start_if_ordered(
    truth: Truth, desk: Desk, run: OkrRun, leave: Leave
) -> tuple[str | None, tuple[str, ...]]:
    """What approval starts: the work that was ordered with the OKR, or the relay that drafted it.

    None: nothing was ordered; or its relay is under way, and finds the decision itself.

    Raises:
        CodetetherError: it was to be started, and could not be.
    """
    if not run.relay_id and _ordered(run) is None:
        return None, ()
    try:
        return await start(truth, desk, run.id, leave, None)
    except RunBusyError:
        return run.relay_id, ()


def _ordered(run: OkrRun) -> WorkOrder | None:
    kept: Any = run.request.get(_ORDER)
    return None if kept is None else decode(WorkOrder, kept)


def _refuse(run: OkrRun) -> None:
    if run.status == "pending_approval":
        raise NotApprovedError(run.id, run.status, "resumed", "")
    if not (run.status == "approved" or is_resumable(run) or is_extensible(run)):
        raise OkrTransitionError(run.id, run.status, "resumed")
