"""`codetether archive push`: everything that the background does, now, and again if it fails."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from codetether_ray.archive.ledger import Kept
from codetether_ray.archive.patience import insist
from codetether_ray.archive.push import Pushed
from codetether_ray.archive.store import ObjectStore
from codetether_ray.bootstrap.archiving.opening import check_run, fetcher, push_audit, push_run
from codetether_ray.bootstrap.archiving.retention import apply_retention
from codetether_ray.bootstrap.archiving.rows import send_rows, update_rows
from codetether_ray.bootstrap.archiving.standing import run_ids
from codetether_ray.bootstrap.tombstones import refuse_forgotten
from codetether_ray.config.settings import Settings
from codetether_ray.core.errors import ArchiveError, ArchiveUnreachableError, UnknownRunError
from codetether_ray.journal.segments import run_directory

_FOR_S = 20.0
"""How long one run is tried while the archive does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a push did. `damaged`: what read back wrong; `released`: runs that went from here."""

    pushed: Pushed
    damaged: tuple[str, ...] = ()
    released: tuple[str, ...] = ()


def push_by_hand(
    store: ObjectStore,
    settings: Settings,
    run_id: str | None,
    progress: Callable[[Kept], None],
    *,
    is_checked: bool = False,
) -> Done:
    """One run, or (None) everything.

    Raises:
        UnknownRunError: there is no such run.
        RunForgottenError: it was removed for good.
        ArchiveError: it stopped there; what was sent stays sent.
    """
    data_dir, total, damaged = settings.paths.data, Pushed(), list[str]()
    if run_id is not None:
        refuse_forgotten(data_dir, run_id)
        if not run_directory(data_dir, run_id).is_dir():
            raise UnknownRunError(run_id)
    for one in (run_id,) if run_id is not None else run_ids(data_dir):
        total += _insisting(lambda one=one: push_run(store, data_dir, one, progress))  # type: ignore[misc]
        if is_checked:
            found = check_run(store, data_dir, one)
            damaged += [f"{one}/{name}" for name in found]
    if settings.archive.parquet:
        update_rows(data_dir, fetch=fetcher(settings))
        total += _insisting(lambda: send_rows(store, data_dir, progress))
    released: list[str] = []
    if run_id is None:
        total += _insisting(lambda: push_audit(store, data_dir, progress))
        if settings.archive.retention_s is not None:
            released = apply_retention(store, data_dir, settings.archive.retention_s)
    return Done(pushed=total, damaged=tuple(damaged), released=tuple(released))


def _insisting(work: Callable[[], Pushed]) -> Pushed:
    def wait(pause_s: float) -> bool:
        time.sleep(pause_s)
        return True

    def quiet(_: ArchiveUnreachableError) -> None:
        """What is tried again in a moment need not be told."""

    try:
        return insist(work, for_s=_FOR_S, wait=wait, now=time.monotonic, tell=quiet)
    except ArchiveUnreachableError as error:
        raise ArchiveError(
            f"{error}; what was sent stays sent: push again when it answers"
        ) from error
