"""Brings a run back from the archive, so that it can be replayed and continued here."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from codetether_ray.archive.ledger import Ledger, turn
from codetether_ray.archive.pull import (
    download,
    find_pieces,
    find_sealed,
    join_pieces,
    missing_of,
    read_whole,
)
from codetether_ray.archive.store import ObjectStore
from codetether_ray.bootstrap.archiving.hub_bundle import restore
from codetether_ray.bootstrap.archiving.standing import MANIFEST
from codetether_ray.bootstrap.tombstones import TOMBSTONES, refuse_forgotten
from codetether_ray.core.errors import (
    ArchiveError,
    RunBusyError,
    RunForgottenError,
    UnknownRunError,
)
from codetether_ray.disk.files import RealDisk
from codetether_ray.journal.blobs import BLOBS
from codetether_ray.journal.generation import generation_path
from codetether_ray.journal.lock import live_holder
from codetether_ray.journal.segments import (
    AWAY,
    list_segments,
    open_name,
    run_directory,
)
from codetether_ray.workspace.hub import hub_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What came back."""

    run_id: str
    objects: int
    bytes: int
    end: int
    """How far the run's stream reaches now."""


def pull_run(
    store: ObjectStore,
    data_dir: Path,
    run_id: str,
    progress: Callable[[str], None] = lambda _: None,
) -> Pulled:
    """Bring everything of a run here; what is here already stays as it is.

    A run that is not here at all appears in one step, at the end.

    Raises:
        RunForgottenError: it was removed for good.
        RunBusyError: it is being written here.
        UnknownRunError: the archive does not have it.
        ArchiveError: something is missing or damaged there; it is named.
    """
    refuse_forgotten(data_dir, run_id)
    directory = run_directory(data_dir, run_id)
    holder = live_holder(directory) if directory.is_dir() else None
    if holder is not None:
        raise RunBusyError(run_id, str(holder))
    with turn(data_dir, run_id) as is_mine:
        if not is_mine:
            raise ArchiveError(f"{run_id} is being sent by another process; try again later")
        return _Pull(store, data_dir, run_id, progress).pull(directory)


class _Pull:
    def __init__(
        self, store: ObjectStore, data_dir: Path, run_id: str, progress: Callable[[str], None]
    ) -> None:
        self._store, self._data_dir, self._run_id = store, data_dir, run_id
        self._progress = progress
        self._objects = self._bytes = 0

    def pull(self, directory: Path) -> Pulled:
        listed = {s.name.partition("/")[2] for s in self._store.stored(f"{self._run_id}/")}
        if not listed:
            self._refuse()
        manifest = self._manifest(listed)
        room = directory if directory.is_dir() else self._fresh(directory)
        self._blobs(room, listed)
        end = self._segments(room, listed)
        if end < int(manifest.get("end", 0)):
            raise ArchiveError(
                f"the archive {self._store.place} lost a part of {self._run_id}: its stream ends "
                f"at byte {end} of {manifest['end']}"
            )
        self._generation(room, int(manifest.get("generation", 1)))
        self._hub(listed, manifest)
        self._artifacts(listed)
        if room != directory:
            RealDisk().sync_directory(room)
            room.rename(directory)
            RealDisk().sync_directory(directory.parent)
        Ledger.load(self._data_dir, self._run_id, self._store.place).note_back()
        return Pulled(run_id=self._run_id, objects=self._objects, bytes=self._bytes, end=end)

    def _refuse(self) -> NoReturn:
        """Say that there is no such run, or that it was forgotten on another machine."""
        out = bytearray()
        if self._store.read(f"{TOMBSTONES}/{self._run_id}.json", out.extend) is not None:
            stone = json.loads(out)
            raise RunForgottenError(self._run_id, stone["forgotten_at"], stone["by"])
        raise UnknownRunError(self._run_id)

    def _manifest(self, listed: set[str]) -> dict[str, Any]:
        if MANIFEST not in listed:
            return {}
        text = read_whole(self._store, f"{self._run_id}/{MANIFEST}")
        missing = missing_of(text, listed)
        if missing:
            raise ArchiveError(
                f"the archive {self._store.place} lacks {len(missing)} object(s) of "
                f"{self._run_id}; the first is {missing[0]}"
            )
        manifest: dict[str, Any] = json.loads(text)
        return manifest

    def _fresh(self, directory: Path) -> Path:
        room = directory.with_name(f".pull-{directory.name}")
        room.mkdir(mode=0o700, parents=True, exist_ok=True)
        return room

    def _blobs(self, room: Path, listed: set[str]) -> None:
        for name in sorted(n for n in listed if n.startswith(f"{BLOBS}/")):
            if not (room / name).exists():
                self._get(name, room / name)

    def _segments(self, room: Path, listed: set[str]) -> int:
        """Sealed segments, then the unsealed end; how far the stream reaches."""
        here = [s for s in list_segments(room) if s.form != "away"]
        at = 0
        for sealed in find_sealed(listed):
            if sealed.start != at:
                continue  # the other form of one that is here now
            if not any(s.start == at for s in here):
                self._get(sealed.name, room / sealed.name)
                for note in room.glob(f"{sealed.plain}*{AWAY}"):
                    note.unlink()
            at = sealed.end
        mine = [s for s in here if s.start >= at]
        if mine:  # this machine is farther than the archive
            last = mine[-1]
            return last.end or last.start + last.path.stat().st_size
        return self._tail(room, listed, at)

    def _tail(self, room: Path, listed: set[str], at: int) -> int:
        def read(name: str) -> bytes:
            self._progress(name)
            return read_whole(self._store, f"{self._run_id}/{name}")

        data, used = join_pieces(read, find_pieces(listed), at)
        if not data:
            return at
        first = json.loads(data[: data.find(b"\n")])
        path = room / open_name(at, float(first["time"]))
        draft = path.with_name(f".{path.name}.{os.getpid()}.part")
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        self._objects += len(used)
        self._bytes += len(data)
        return at + len(data)

    def _generation(self, room: Path, number: int) -> None:
        """Whoever goes on here takes a higher one than the writer before had."""
        with contextlib.suppress(FileExistsError):
            generation_path(room, number).touch(mode=0o600, exist_ok=False)

    def _hub(self, listed: set[str], manifest: dict[str, Any]) -> None:
        names = sorted(n for n in listed if n.startswith("hub/"))
        hub = hub_path(self._data_dir, self._run_id)
        if hub.exists() or not (names or manifest.get("refs")):
            return
        hub.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=hub.parent) as folder:
            bundles = [Path(folder) / Path(name).name for name in names]
            for name, path in zip(names, bundles, strict=True):
                self._get(name, path)
            made = Path(folder) / hub.name
            restore(made, bundles, manifest)
            shutil.move(made, hub)

    def _artifacts(self, listed: set[str]) -> None:
        name = f"artifacts/{self._run_id}.patch"
        target = self._data_dir / "patches" / f"{self._run_id}.patch"
        if name in listed and not target.exists():
            self._get(name, target)

    def _get(self, name: str, target: Path) -> None:
        self._progress(name)
        found = download(self._store, f"{self._run_id}/{name}", target)
        if found is None:
            raise ArchiveError(f"{self._run_id}/{name} went from the archive while it was read")
        self._objects += 1
        self._bytes += found.size
