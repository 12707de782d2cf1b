"""A Ralph run where it lives."""

import hashlib
import json
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from codetether_ray.bootstrap.auditing.opening import audited
from codetether_ray.bootstrap.home import RunHome
from codetether_ray.bootstrap.known_secrets import stored_values
from codetether_ray.bootstrap.ralph.book import PrdBook, open_book, own_paths
from codetether_ray.bootstrap.ralph.request import RalphRequest
from codetether_ray.bootstrap.run_home import Ask, Place, delivered, recorded, spent_by
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.masking import Masker
from codetether_ray.core.usage import Usage
from codetether_ray.ports.audit import Action, Audit
from codetether_ray.ralph.coordinator import RalphCoordinator
from codetether_ray.ralph.result import RalphResult
from codetether_ray.ralph.trailers import story_of
from codetether_ray.sandbox.leftovers import marks
from codetether_ray.sandbox.local import LocalSandbox
from codetether_ray.workspace.git import Ground
from codetether_ray.workspace.trunk import GitTrunk

_GATES = "gates"
"""The name under which the gates' processes are known."""


async def ralph_in_home(home: RunHome, request: RalphRequest, ask: Ask) -> JsonObject:
    """Work a PRD off, to the object that `--json` prints.

    Cancelled, it ends the agents and returns a result of outcome `interrupted`.

    Raises:
        CodetetherError: there is nothing to work on (no PRD, no such directory, git refuses, …).
    """
    work = _Ralph(home, request, ask)
    result = await recorded(home, request, work.done, work.cancelled)
    assert result is not None
    return result


def unrecorded(request: RalphRequest, error: CodetetherError) -> JsonObject:
    """The result of a run whose end could not be recorded; what it had finished is kept."""
    return RalphResult(
        run_id=request.run_id,
        outcome="interrupted",
        prd_path=request.prd,
        directory=request.directory,
        error=str(error),
        error_kind=type(error).__name__,
    ).to_json()


class _Ralph:
    """One run in its home."""

    def __init__(self, home: RunHome, request: RalphRequest, ask: Ask) -> None:
        self._home = home
        self._request = request
        self._ask = ask
        self._coordinator: RalphCoordinator | None = None

    async def done(self, place: Place) -> JsonObject:
        """Do it."""
        ground = await place.trees.ground()
        book = await open_book(self._request, ground)
        try:
            self._coordinator = coordinator = await self._made(place, book, ground)
            result = await coordinator.run()
            return await self._delivered(place, book, ground, result)
        finally:
            book.close()

    async def _delivered(
        self, place: Place, book: PrdBook, ground: Ground, result: RalphResult
    ) -> JsonObject:
        """The result; with --merge, in the user's branch, files and PRD as one."""
        request, out = self._request, result.to_json()
        if request.repository:
            return {**out, "files": _texts(request)}
        gives = request.deliver and result.is_success
        back = book.set_back(ground) if gives else nullcontext()
        async with back:
            return await delivered(request, place.workspace, out, is_success=result.is_success)

    def cancelled(self) -> JsonObject:
        """The result of a run that was cancelled."""
        request, made = self._request, self._coordinator
        if made is not None and made.result is not None:
            return made.result.to_json()
        return RalphResult(
            run_id=request.run_id,
            outcome="interrupted",
            prd_path=request.prd,
            directory=request.directory,
            error="the run was interrupted",
        ).to_json()

    async def _made(self, place: Place, book: PrdBook, ground: Ground) -> RalphCoordinator:
        home, request = self._home, self._request

        async def ask(question: JsonObject) -> object:
            return await _asked(self._ask, place.audit, request, question)

        async def spent() -> tuple[Usage, float | None]:
            return await spent_by(request)

        trunk = GitTrunk(
            place.workspace,
            place.trees.ground,
            request.run_id,
            "" if request.repository or ground.repository.is_private else book.prd.branch,
            own=own_paths(request, ground),
            story_of=lambda message: story_of(message, request.run_id),
        )
        return RalphCoordinator(
            request.options(place.directory),
            home.runtime,
            place.workspace,
            trunk,
            book,
            LocalSandbox(marks=marks(request.run_id, _GATES)),
            home.voices.of_run(),
            home.clock,
            ask=ask,
            mask=Masker(await _secrets(request)),
            spent=spent,
            elapsed_s=place.worked_s,
        )


async def _secrets(request: RalphRequest) -> tuple[str, ...]:
    """Values that no gate's output may carry into the journal."""
    provider = request.model.partition("/")[0]
    store = open_secret_store(os.environ, Path(request.data_dir))
    return tuple(await stored_values(os.environ, store, provider))


async def _asked(ask: Ask, audit: Audit, request: RalphRequest, question: JsonObject) -> object:
    """Put a proposal to whoever drives the run; their word is in the audit log."""
    text = json.dumps(question, sort_keys=True, separators=(",", ":"))
    action = Action(
        category="policy",
        action="ralph.amend",
        resource=hashlib.sha256(text.encode()).hexdigest(),
        correlation=replace(request.correlation, task_id=str(question.get("story", ""))),
    )
    async with audited(audit, action) as done:
        answer = await ask(question)
        is_granted = answer is True or (isinstance(answer, dict) and answer.get("approved") is True)
        done.outcome = "success" if is_granted else "denied"
        return answer


def _texts(request: RalphRequest) -> JsonObject:
    """What the PRD and its progress hold, for the machine that they are kept on."""
    places = {"prd": request.prd_path, "progress": request.progress_path}
    return {name: path.read_text("utf-8") for name, path in places.items() if path.exists()}
