"""Removes a run for good, here and in the archive, and leaves a signed tombstone.

The tombstone is written first, so that whatever was begun is finished by the next call; each step
removes what may already be gone. The audit log is not touched: it never held content.
"""

import asyncio
import hashlib
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from codetether_ray.archive.ledger import ROOM, Ledger, turn
from codetether_ray.archive.sending import send
from codetether_ray.archive.store import ObjectStore
from codetether_ray.audit.keys import open_signer
from codetether_ray.bootstrap.a2a import contexts
from codetether_ray.bootstrap.agents import TAILS
from codetether_ray.bootstrap.archiving.rows import forget_rows, send_rows
from codetether_ray.bootstrap.tombstones import (
    Tombstone,
    read_tombstone,
    tombstone_path,
    write_tombstone,
)
from codetether_ray.config.paths import Paths
from codetether_ray.core import failpoints
from codetether_ray.core.errors import (
    ArchiveError,
    CodetetherError,
    RunBusyError,
    UnknownRunError,
    WorkspaceError,
)
from codetether_ray.core.ids import is_run_id
from codetether_ray.journal.blobs import BLOBS
from codetether_ray.journal.listing import find_run
from codetether_ray.journal.lock import RunLock, live_holder
from codetether_ray.journal.segments import Segment, list_segments, run_directory
from codetether_ray.workspace.cleanup import Cleanup, clean, clean_copies
from codetether_ray.workspace.hub import cleared_mark
from codetether_ray.workspace.hub_cleanup import remove_hub
from codetether_ray.workspace.names import run_slug
from codetether_ray.workspace.open import COPIES
from codetether_ray.workspace.repository import find_repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What forgetting did, or found done."""

    tombstone: Tombstone
    was_done: bool = False
    objects: int = 0
    """Objects that went from the archive."""
    kept: tuple[str, ...] = ()
    """Branches and worktrees of the run that stay, because their work is nowhere else."""


def forget_run(
    paths: Paths,
    run_id: str,
    *,
    store: ObjectStore | None,
    by: str,
    keep_work: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Forgotten:
    """Forget one run. Stopped in the middle, another call finishes it.

    Raises:
        UnknownRunError: there is no such run, here or in the archive.
        RunBusyError: it is running.
        WorkspaceError: work of it is nowhere else, and `keep_work` was not asked for.
        ArchiveError: it is archived, and the archive cannot be changed.
    """
    return _Forgetting(paths, run_id, store, by, say).forget(keep_work=keep_work)


class _Forgetting:
    def __init__(
        self,
        paths: Paths,
        run_id: str,
        store: ObjectStore | None,
        by: str,
        say: Callable[[str], None],
    ) -> None:
        self._data, self._cache, self._run_id = paths.data, paths.cache, run_id
        self._store, self._by, self._say = store, by, say
        self._directory = run_directory(self._data, run_id)

    def forget(self, *, keep_work: bool) -> Forgotten:
        old = read_tombstone(self._data, self._run_id)
        if old is not None and old.state == "forgotten":
            return Forgotten(tombstone=old, was_done=True)
        self._refuse(is_begun=old is not None)
        with turn(self._data, self._run_id) as is_mine, self._lock():
            if not is_mine:
                raise RunBusyError(self._run_id, "a process that sends it to the archive")
            leftovers = self._leftovers(dry_run=True)
            kept = _own(leftovers, self._run_id)
            if kept and not keep_work:
                raise WorkspaceError(
                    f"{self._run_id} has work that is nowhere else: {'; '.join(kept[:3])}. Merge "
                    "or remove it first, or keep it with --keep-work"
                )
            tombstone = old or self._begin()
            failpoints.hit("forget.begun")
            return self._go_on(tombstone, kept)

    def _go_on(self, tombstone: Tombstone, kept: tuple[str, ...]) -> Forgotten:
        objects = 0
        if self._store is not None:
            self._say("removing it from the archive")
            objects = self._store.wipe(f"{self._run_id}/")
        failpoints.hit("forget.archive")
        forget_rows(self._data, self._run_id)
        if self._store is not None:
            send_rows(self._store, self._data)
        failpoints.hit("forget.rows")
        self._say("removing it here")
        self._leftovers(dry_run=False)
        asyncio.run(remove_hub(self._data, self._run_id))
        _remove(cleared_mark(self._data, self._run_id))
        self._files()
        failpoints.hit("forget.files")
        self._events()
        failpoints.hit("forget.events")
        done = self._signed(replace(tombstone, state="forgotten"))
        data = write_tombstone(self._data, done)
        if self._store is not None:
            name = f"tombstones/{self._run_id}.json"
            send(self._store, name, data, name=name, replace=True)
        return Forgotten(tombstone=done, objects=objects, kept=kept)

    def _refuse(self, *, is_begun: bool) -> None:
        place = self._store.place if self._store is not None else None
        for ledger in Ledger.everywhere(self._data, self._run_id):
            if ledger.place != place:
                raise ArchiveError(
                    f"{self._run_id} is in the archive {ledger.place} as well, and that is not the "
                    "one that is set now; set it again (`codetether config set archive.bucket "
                    f"NAME`), or remove {self._run_id}/ there by hand and then {ledger.path}"
                )
        if self._directory.is_dir():
            holder = live_holder(self._directory)
            if holder is not None:
                raise RunBusyError(self._run_id, str(holder))
            return
        is_away = self._store is not None and any(self._store.stored(f"{self._run_id}/"))
        if not is_begun and not is_away:
            raise UnknownRunError(self._run_id)

    def _lock(self) -> AbstractContextManager[object]:
        if not self._directory.is_dir():
            return nullcontext()
        return _Held(RunLock(self._run_id, self._directory))

    def _begin(self) -> Tombstone:
        """Write down what will be gone, by its hashes."""
        segments = list_segments(self._directory)
        files = {s.path.name: s.path for s in segments if s.form != "away"}
        place = self._store.place if self._store is not None else None
        ledger = Ledger.load(self._data, self._run_id, place)
        hashes = {k.name: k.sha256 for k in ledger.kept.values() if "chat-events" in k.name}
        room = self._directory / BLOBS
        blobs = {p.name for p in room.iterdir()} if room.is_dir() else set[str]()
        blobs |= {n.partition("/")[2] for n in ledger.kept if n.startswith(f"{BLOBS}/")}
        tombstone = Tombstone(
            run_id=self._run_id,
            state="forgetting",
            forgotten_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            by=self._by,
            stream_bytes=max(
                [s.end or s.start + s.path.stat().st_size for s in segments], default=0
            ),
            segments=hashes | {name: _sha256(path) for name, path in files.items()},
            blobs=tuple(sorted(b for b in blobs if len(b) == hashlib.sha256().digest_size * 2)),
            archive=self._store.place if self._store is not None else "",
        )
        tombstone = self._signed(tombstone)
        write_tombstone(self._data, tombstone)
        return tombstone

    def _signed(self, tombstone: Tombstone) -> Tombstone:
        signer = open_signer(self._data)
        tombstone = replace(tombstone, key=signer.key_id, signature="")
        return replace(tombstone, signature=signer.sign(tombstone.message()).signature)

    def _leftovers(self, *, dry_run: bool) -> Cleanup:
        """Worktrees and branches of this run, and of no other."""
        return asyncio.run(self._clean(dry_run=dry_run))

    async def _clean(self, *, dry_run: bool) -> Cleanup:
        def is_this(run_id: str) -> bool:
            return run_id == self._run_id

        copies = self._data / COPIES / run_slug(self._run_id)
        total = Cleanup()
        place = self._worked_in()
        repository = await find_repository(place) if place is not None else None
        if repository is not None:
            total += await clean(repository, is_this, dry_run=dry_run)
        if copies.is_dir():
            total += await clean_copies(self._data / COPIES, is_this, dry_run=dry_run)
        return total

    def _worked_in(self) -> Path | None:
        """The directory that the run worked in, if it is there and known."""
        try:
            directory = find_run(self._data, self._run_id).directory
        except CodetetherError:
            return None
        return Path(directory) if directory and Path(directory).is_dir() else None

    def _files(self) -> None:
        """What lies about the run outside its own directory."""
        for path in (
            self._data / "patches" / f"{self._run_id}.patch",
            self._data / "drivers" / f"{self._run_id}.json",
            *(self._data / "logs").glob(f"{self._run_id}*"),
            *(self._data / TAILS).glob(f"{self._run_id}.*"),
            self._cache / "archive" / self._run_id,
            *(self._data / ROOM).glob(f"*/{self._run_id}.*"),
            *contexts.put_aside(self._data, self._run_id),
        ):
            _remove(path)

    def _events(self) -> None:
        """The run's own directory: out of sight in one step, then away."""
        going = self._directory.with_name(f".forgotten-{self._run_id}")
        if self._directory.is_dir():
            _remove(going)
            self._directory.rename(going)
        _remove(going)


def unfinished_tombstones(data_dir: Path) -> tuple[str, ...]:
    """Runs whose forgetting was begun and not finished."""
    room = tombstone_path(data_dir, "ses_0000000000_00000000").parent
    names = [p.stem for p in room.glob("*.json") if is_run_id(p.stem)] if room.is_dir() else []
    found = ((name, read_tombstone(data_dir, name)) for name in sorted(names))
    return tuple(name for name, stone in found if stone is not None and stone.state == "forgetting")


class _Held:
    """A lock as a context."""

    def __init__(self, lock: RunLock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        """It is held already."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()


def _own(found: Cleanup, run_id: str) -> tuple[str, ...]:
    """What stays of this run; what stays of others is no matter of ours."""
    slug = run_slug(run_id)
    return tuple(
        f"{kept.what} ({kept.reason})"
        for kept in found.kept
        if f"/{slug}/" in f"{kept.what}/" or kept.what.startswith(f"codetether/{slug}/")
    )


def _end(segment: Segment) -> int:
    if segment.end is not None:
        return segment.end
    return segment.start + segment.path.stat().st_size


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
