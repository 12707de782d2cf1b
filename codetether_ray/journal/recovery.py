"""Takes over a run: fences the writer before, reads the whole stream, cuts a torn tail, seals.

The order is the promise: the generation is raised first and the tail is read second, so that an
older writer either had its records read here or gets no acknowledgement for them.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import JournalError
from codetether_ray.core.failpoints import hit
from codetether_ray.disk.files import Disk
from codetether_ray.journal.files import Fetch
from codetether_ray.journal.generation import raise_generation
from codetether_ray.journal.index import RunIndex
from codetether_ray.journal.lines import Position
from codetether_ray.journal.scan import RunScan
from codetether_ray.journal.segments import Segment, sealed_name
from codetether_ray.journal.zombies import keep_aside, keep_zombies


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """Where a run stands after take-over.

    `adopted` says what was taken over from the writer before: the segment's name, its end, the
    SHA-256 of its bytes and how many were cut off; empty where there was no open segment. `zombies`
    says where fenced writers had left bytes since, and in which files those are kept.
    """

    position: Position
    generation: int
    index: RunIndex
    agent_seqs: dict[str, int]
    adopted: JsonObject = field(default_factory=dict)
    zombies: tuple[JsonObject, ...] = ()


def recover(run_id: str, directory: Path, disk: Disk, fetch: Fetch | None = None) -> Recovered:
    """Make the run ready for a new writer, whose lock is already held.

    Raises:
        JournalCorruptError: bytes are damaged or missing; nothing was changed but the generation.
        JournalError: the disk refused.
    """
    try:
        generation = raise_generation(directory)
        disk.sync_directory(directory)
        hit("generation.raised")
        zombies = keep_zombies(directory, generation, disk)
        scan = RunScan(run_id, directory, fetch=fetch)
        index, agent_seqs = RunIndex(directory, fetch), dict[str, int]()
        for line in scan:
            if not line.is_control:
                head = line.head
                index.add((head.agent,), (head.off, line.length))
                agent_seqs[head.agent] = head.agent_seq + 1
        hit("tail.read")
        segment = scan.segment
        adopted: JsonObject = {}
        if segment is not None and segment.is_open:
            adopted = _adopt(segment, scan, generation, disk)
        return Recovered(
            position=scan.position,
            generation=generation,
            index=index,
            agent_seqs=agent_seqs,
            adopted=adopted,
            zombies=zombies,
        )
    except OSError as error:
        raise JournalError(f"the journal of {run_id} cannot be opened: {error}") from error


def _adopt(segment: Segment, scan: RunScan, generation: int, disk: Disk) -> JsonObject:
    """Cut the torn tail (a copy is kept), flush what is left, and seal it by its name."""
    end = scan.position.off
    length = end - segment.start
    if scan.torn_bytes:
        keep_aside(segment.path, length, f"torn-{end:020}-gen{generation}")
        hit("tail.kept")
    if length == 0:  # its writer died before its first line was whole
        segment.path.unlink(missing_ok=True)
        return {}
    sealed = segment.path.with_name(sealed_name(segment.path.name, end))
    try:
        _seal(segment.path, sealed, length if scan.torn_bytes else None, disk)
    except FileNotFoundError:
        if not disk.exists(sealed):
            raise
        # Its writer flushed and named it itself: it had looked at the generation just before.
    disk.sync_directory(segment.path.parent)
    with sealed.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    return {"segment": sealed.name, "end": end, "sha256": digest, "cut_bytes": scan.torn_bytes}


def _seal(path: Path, sealed: Path, cut_to: int | None, disk: Disk) -> None:
    file = disk.open(path)
    try:
        if cut_to is not None:
            file.truncate(cut_to)
        file.sync()
    finally:
        file.close()
    hit("tail.flushed")
    disk.rename(path, sealed)
    hit("tail.renamed")
