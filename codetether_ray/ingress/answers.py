"""Answers the questions of `bootstrap.truth.questions` in a caller's name.

Each has a permission of its own, and shows or changes what the caller finds and nothing else. Who
decides or cancels is the caller, whatever the arguments say.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from codetether_ray.bootstrap.control import okrs as owned_okrs
from codetether_ray.bootstrap.control import owned
from codetether_ray.bootstrap.truth import identity, okrs, pieces, runs
from codetether_ray.core.errors import UnknownOkrError, UsageError
from codetether_ray.core.okrs import ApprovalDecision, Okr, OkrRun
from codetether_ray.ingress.callers import caller
from codetether_ray.ingress.control import Control

Answer = Callable[..., Awaitable[Any]]
_AUDIT = "audit:read"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


async def _identity(control: Control) -> Any:
    found = await control.ask(f"{identity.__name__}:identity")
    return {"id": found["id"], "data_dir": "", "mark": ""}


async def _top(control: Control) -> Any:
    return await control.top()


# -- runs


async def _rows(control: Control, *asked: Any) -> Any:
    return await control.ask(owned.ROWS, *asked, await control.owner())


async def _every(control: Control) -> Any:
    return await control.ask(owned.EVERY, await control.owner())


async def _find(control: Control, text: str) -> Any:
    return await control.ask(owned.FIND, text, await control.owner())


async def _sums(control: Control, run_id: str | None, since: float, with_files: bool) -> Any:
    if run_id is not None:
        await control.check(run_id)
    elif await control.owner() is not None:
        raise UsageError("name one run: the sum of everybody's is an administrator's to ask")
    return await control.ask(runs.SUMS, run_id, since, with_files)


async def _standing(control: Control, run_id: str) -> Any:
    return await control.ask(owned.STANDING, run_id, await control.owner())


async def _reread(control: Control, run_id: str, after: int) -> Any:
    await control.check(run_id)
    return await control.ask(runs.REREAD, run_id, after)


async def _cancel(control: Control, run_id: str, principal: str) -> Any:
    del principal
    return await control.cancel(run_id)


async def _times(control: Control) -> Any:
    return await control.ask(runs.RUN_TIMES)


async def _listing(control: Control, room: str) -> Any:
    await _check_room(control, room)
    return await control.ask(pieces.LISTING, room)


async def _piece(control: Control, name: str, *asked: Any) -> Any:
    await _check_room(control, name)
    start, known_from, _ = asked
    if not 0 <= known_from <= start:
        raise UsageError("a piece begins at 0 or later, behind what is known of its file")
    return await control.ask(pieces.PIECE, name, *asked)


async def _check_room(control: Control, path: str) -> None:
    """A run's files are its owner's; those of the audit log need its permission."""
    room, _, rest = path.partition("/")
    if room == "events" and rest:
        await control.check(rest.partition("/")[0])
    elif room == "audit":
        await control.permit(_AUDIT)
    else:
        raise UsageError(f"{path!r} is no file of a run or of the audit log")


# -- OKRs


async def _okrs(control: Control) -> Any:
    return await control.ask(owned_okrs.ALL, await control.owner())


async def _find_okr(control: Control, text: str) -> Any:
    okr, run = await control.ask(okrs.FIND, text)
    if not owned_okrs.is_mine(okr, await control.owner()):
        raise UnknownOkrError(text)
    return okr, run


async def _readings(control: Control, run_id: str) -> Any:
    await _find_okr(control, run_id)
    return await control.ask(okrs.READINGS, run_id)


async def _add(control: Control, okr: Okr, run: OkrRun | None) -> Any:
    who = caller()
    if not all(_ID.fullmatch(one.id) for one in (okr, run or okr)):
        raise UsageError("an id has up to 100 letters, digits, dashes and underscores")
    mine = replace(okr, owner=who.user_id, tenant_id=who.tenant_id or None)
    known, _ = await control.ask(owned_okrs.ALL, None)
    if any(one.id == okr.id and not owned_okrs.is_mine(one, who.owner) for one in known):
        raise UsageError("an OKR of that id is there already")
    if run is not None:
        run = replace(run, request={}, relay_id=None)
    return await control.ask(okrs.ADD, mine, run)


async def _decide(control: Control, run_id: str, made: ApprovalDecision, seen: int | None) -> Any:
    return await control.decide(run_id, made.decision, made.reason, seen)


async def _edit(control: Control, run_id: str, edited: Okr, seen: int, now: str) -> Any:
    okr, _ = await _find_okr(control, run_id)
    kept = replace(edited, owner=okr.owner, tenant_id=okr.tenant_id)
    return await control.ask(okrs.EDIT, run_id, kept, seen, now)


async def _resume_okr(control: Control, id: str) -> Any:
    return (await control.resume_okr(id, None)).run_id


async def _cancel_okr(control: Control, run_id: str, now: str) -> Any:
    del now
    okr, run, _ = await control.cancel_okr(run_id)
    return okr, run


ANSWERS: Mapping[str, tuple[str, Answer]] = MappingProxyType(
    {
        "identity": ("runs:read", _identity),
        "top": ("monitor:read", _top),
        "runs.rows": ("runs:read", _rows),
        "runs.every": ("runs:read", _every),
        "runs.find": ("runs:read", _find),
        "runs.sums": ("runs:read", _sums),
        "runs.standing": ("runs:read", _standing),
        "runs.reread": ("runs:read", _reread),
        "runs.cancel": ("runs:cancel", _cancel),
        "runs.times": (_AUDIT, _times),
        "files.listing": ("runs:read", _listing),
        "files.piece": ("runs:read", _piece),
        "okrs.every": ("okrs:read", _okrs),
        "okrs.find": ("okrs:read", _find_okr),
        "okrs.readings": ("okrs:read", _readings),
        "okrs.add": ("okrs:write", _add),
        "okrs.decide": ("okrs:approve", _decide),
        "okrs.edit": ("okrs:write", _edit),
        "okrs.resume": ("okrs:execute", _resume_okr),
        "okrs.cancel": ("okrs:execute", _cancel_okr),
    }
)
"""By the question's name: what it needs, and who answers."""


async def answer(control: Control, name: str, arguments: tuple[Any, ...]) -> Any:
    """What the caller is told.

    Raises:
        ForbiddenError: the caller may not ask that.
        CodetetherError: there is no answer.
    """
    permission, answering = ANSWERS[name]
    await control.permit(permission)
    return await answering(control, *arguments)
