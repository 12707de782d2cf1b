"""What of a run, and of the audit log, belongs in the archive, and how far behind that is."""

import contextlib
import hashlib
import json
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.archive.cargo import Cargo, Changing, Growing, Item
from codetether_ray.archive.ledger import Ledger
from codetether_ray.archive.store import ObjectStore
from codetether_ray.bootstrap.archiving.hub_bundle import hub_facts, staged
from codetether_ray.core.ids import is_run_id
from codetether_ray.journal.blobs import BLOBS
from codetether_ray.journal.generation import current_generation
from codetether_ray.journal.lock import live_holder
from codetether_ray.journal.mark import mark_path, read_mark
from codetether_ray.journal.segments import Segment, events_root, list_segments, run_directory

AUDIT = "audit"
"""The folder of the audit log in the archive, and below the data directory."""
MANIFEST = "manifest.json"
_SHA256_HEX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the archive is behind a run. The lag is what a lost home would cost."""

    run_id: str
    is_running: bool
    end: int
    """Bytes of the stream on this disk."""
    verified: int
    """Bytes of the stream that were read back from the archive."""
    lag_bytes: int
    """Bytes of the stream and of big payloads that the archive does not have."""
    lag_s: float
    """Age of the oldest of them."""
    sealed: int
    """Sealed segments."""
    away: int
    """Segments that only the archive holds."""
    elsewhere: tuple[str, ...] = ()
    """Former archives: segments are in one of them alone."""

    def to_json(self) -> dict[str, object]:
        """As `archive status --json` prints it."""
        return {
            "run_id": self.run_id,
            "running": self.is_running,
            "stream_bytes": self.end,
            "verified_bytes": self.verified,
            "lag_bytes": self.lag_bytes,
            "lag_s": round(self.lag_s, 1),
            "sealed_segments": self.sealed,
            "away_segments": self.away,
            "elsewhere": list(self.elsewhere),
        }


def run_ids(data_dir: Path) -> tuple[str, ...]:
    """Every run that has a directory here, oldest first."""
    root = events_root(data_dir)
    names = [entry.name for entry in os.scandir(root)] if root.is_dir() else []
    return tuple(sorted(n for n in names if is_run_id(n)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """What the archive holds of a run."""

    run_id: str
    objects: int
    bytes: int


def archived_runs(store: ObjectStore) -> tuple[Archived, ...]:
    """The runs in the archive, by id: a request for each thousand objects.

    Raises:
        ArchiveError: it cannot be read.
    """
    found: dict[str, list[int]] = {}
    for stored in store.stored(""):
        run_id, _, name = stored.name.partition("/")
        if name and is_run_id(run_id):
            found.setdefault(run_id, []).append(stored.size)
    return tuple(
        Archived(run_id=run_id, objects=len(sizes), bytes=sum(sizes))
        for run_id, sizes in sorted(found.items())
    )


def changed_at(data_dir: Path, run_id: str) -> int:
    """When something of a run that belongs in the archive changed last (Unix, ns); cheap."""
    directory = run_directory(data_dir, run_id)
    last = 0
    for path in (mark_path(directory), directory, directory / BLOBS, _patch(data_dir, run_id)):
        with contextlib.suppress(OSError):
            last = max(last, path.stat().st_mtime_ns)
    return last


def is_running(data_dir: Path, run_id: str) -> bool:
    """Whether a process writes a run."""
    directory = run_directory(data_dir, run_id)
    return directory.is_dir() and live_holder(directory) is not None


def run_cargo(data_dir: Path, run_id: str, ledger: Ledger) -> Cargo:
    """All of a run that is on the disk for good: blobs before the lines that name them."""
    directory = run_directory(data_dir, run_id)
    segments = list_segments(directory)
    sealed = [s for s in segments if s.end is not None]
    growing = [g for s in segments if s.is_open and (g := _growing(directory, s)) is not None]
    items = [Item(name=f"{BLOBS}/{p.name}", path=p) for p in _blobs(directory)]
    items += [
        Item(name=s.path.name, path=s.path, start=s.start, end=s.end or 0)
        for s in sealed
        if s.form != "away"
    ]
    items += [Item(name=f"hub/{p.name}", path=p) for p in staged(ledger)]
    manifest = {
        "v": 1,
        "run": run_id,
        "generation": current_generation(directory),
        "end": max([s.end or 0 for s in sealed] + [g.end for g in growing], default=0),
        "items": [s.name for s in sealed] + [f"{BLOBS}/{p.name}" for p in _blobs(directory)],
        **hub_facts(data_dir, run_id),
    }
    text = json.dumps(manifest, sort_keys=True).encode()
    return Cargo(
        folder=run_id,
        items=tuple(items),
        growing=tuple(growing),
        changing=(*_patches(data_dir, run_id), Changing(name=MANIFEST, data=text)),
    )


def audit_cargo(data_dir: Path, since_ns: int = 0) -> Cargo:
    """The audit log: chains as they grow, checkpoints, public keys. Never a private one.

    Of what did not change since a moment (Unix, ns) nothing: thousands of chains are long ended.
    """
    root = data_dir / AUDIT
    growing, changing = list[Growing](), list[Changing]()
    for path in sorted(p for p in root.rglob("*") if _changed_since(p, since_ns)):
        name = path.relative_to(root).as_posix()
        if name.startswith("keys/"):
            if path.suffix == ".pub":
                changing.append(Changing(name=name, data=path.read_bytes()))
        elif name.startswith("checkpoints/") and path.suffix != ".jsonl":
            if not path.name.startswith(".") and path.suffix == ".json":
                changing.append(Changing(name=name, data=path.read_bytes()))
        elif path.suffix == ".jsonl" and (room := _room(path, name)):
            growing.append(Growing(path=path, room=room, first=0, end=path.stat().st_size))
    return Cargo(folder=AUDIT, growing=tuple(growing), changing=tuple(changing))


def _changed_since(path: Path, moment_ns: int) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:  # a draft that got its name
        return False
    return stat.S_ISREG(status.st_mode) and status.st_mtime_ns >= moment_ns


def _room(path: Path, name: str) -> str:
    """Where an audit file's pieces go: a lost machine's successor may bear the same name."""
    with path.open("rb") as file:
        first = file.readline()
    if not first.endswith(b"\n"):
        return ""
    return f"{name.removesuffix('.jsonl')}-{hashlib.sha256(first).hexdigest()[:8]}"


def stream_end(data_dir: Path, run_id: str) -> int:
    """How far a run's stream is on the disk for good."""
    directory = run_directory(data_dir, run_id)
    return max([_end(directory, s) for s in list_segments(directory)], default=0)


def standing(data_dir: Path, run_id: str, place: str | None, now: float | None = None) -> Standing:
    """How a run stands with the archive at `place`. Reads names, sizes and at most one line."""
    directory = run_directory(data_dir, run_id)
    ledger = Ledger.load(data_dir, run_id, place)
    segments = list_segments(directory)
    lost = [s for s in segments if s.form == "away" and not _is_kept(s, ledger)]
    verified = ledger.covered((s.start, s.end or 0) for s in lost)
    end = max([_end(directory, s) for s in segments], default=0)
    blobs = [p for p in _blobs(directory) if f"{BLOBS}/{p.name}" not in ledger.kept]
    lag = max(end - verified, 0) + sum(p.stat().st_size for p in blobs)
    since = _since(segments, verified, blobs) if lag else None
    return Standing(
        run_id=run_id,
        is_running=is_running(data_dir, run_id),
        end=end,
        verified=min(verified, end) if end else verified,
        lag_bytes=lag,
        lag_s=max((time.time() if now is None else now) - since, 0.0) if since else 0.0,
        sealed=sum(not s.is_open for s in segments),
        away=sum(s.form == "away" for s in segments),
        elsewhere=_elsewhere(data_dir, run_id, lost) if lost else (),
    )


def _is_kept(segment: Segment, ledger: Ledger) -> bool:
    return segment.name in ledger.kept or f"{segment.name}.gz" in ledger.kept


def _elsewhere(data_dir: Path, run_id: str, lost: list[Segment]) -> tuple[str, ...]:
    """The archives that were set once and hold what is neither here nor in the present one."""
    former = Ledger.everywhere(data_dir, run_id)
    found = {f.place for f in former if any(_is_kept(s, f) for s in lost)}
    return tuple(sorted(found)) or ("an archive that is not known here",)


def _growing(directory: Path, segment: Segment) -> Growing | None:
    """The open segment, up to where it is flushed."""
    with segment.path.open("rb") as file:
        first = file.readline()
    try:
        generation = int(json.loads(first)["gen"])
    except (ValueError, KeyError, TypeError):
        return None  # its first line is not whole yet
    return Growing(
        path=segment.path,
        room="tail",
        first=segment.start,
        end=_end(directory, segment),
        suffix=f"-g{generation}",
    )


def _end(directory: Path, segment: Segment) -> int:
    """Where a segment ends; an open one that is being written, where it is flushed."""
    if segment.end is not None:
        return segment.end
    size = segment.start + segment.path.stat().st_size
    if live_holder(directory) is None:
        return size
    mark = read_mark(directory)
    return max(segment.start, min(size, mark.off if mark else 0))


def _since(segments: tuple[Segment, ...], verified: int, blobs: list[Path]) -> float | None:
    """When the oldest byte that the archive lacks was written."""
    times = [p.stat().st_mtime for p in blobs]
    lacking = [s for s in segments if s.end is None or s.end > verified]
    if lacking:
        times.append(_time_at(lacking[0], verified))
    return min(times, default=None)


def _time_at(segment: Segment, offset: int) -> float:
    if segment.form == "plain":
        try:
            with segment.path.open("rb") as file:
                file.seek(max(offset - segment.start, 0))
                return float(json.loads(file.readline())["time"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
    return segment.path.stat().st_mtime


def _blobs(directory: Path) -> list[Path]:
    room = directory / BLOBS
    found = [p for p in room.iterdir() if len(p.name) == _SHA256_HEX] if room.is_dir() else []
    return sorted(found)


def _patch(data_dir: Path, run_id: str) -> Path:
    return data_dir / "patches" / f"{run_id}.patch"


def _patches(data_dir: Path, run_id: str) -> tuple[Changing, ...]:
    path = _patch(data_dir, run_id)
    if not path.is_file():
        return ()
    return (Changing(name=f"artifacts/{path.name}", data=path.read_bytes()),)
