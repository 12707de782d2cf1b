"""Runs made without a writer, so that tests know every byte of them."""

from collections.abc import Sequence
from pathlib import Path

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.events import Record
from codetether_ray.disk.files import RealDisk
from codetether_ray.journal.blobs import store_blob
from codetether_ray.journal.lines import Position
from codetether_ray.journal.segments import open_name, run_directory
from codetether_ray.journal.stream import Stream
from tests.contracts.journal import RUN, WHERE, note

WRITER: JsonObject = {"pid": 1, "host": "node", "program": "0.1.0"}
NOW = 1_700_000_000.0


def new_stream(segment_bytes: int = 1 << 20) -> Stream:
    return Stream(
        position=Position(),
        agent_seqs={},
        generation=1,
        segment_bytes=segment_bytes,
        correlation=WHERE,
        writer=WRITER,
        clock=lambda: NOW,
    )


def small_run() -> list[Record]:
    texts = ("one", "é\u2028", "", "\U0001f600")
    return [note("a" if n % 2 else "sub/b", text) for n, text in enumerate(texts)]


class Written:
    """A run of one open segment on disk: its bytes, its records, and where each line ends."""

    def __init__(self, data_dir: Path, batches: Sequence[Sequence[Record]]) -> None:
        self.directory = run_directory(data_dir, RUN)
        self.directory.mkdir(parents=True)
        self.segment = self.directory / open_name(0, NOW)
        self.records: list[Record] = []
        self.line_ends: list[int] = []
        self.marks: list[Position] = []
        stream, data = new_stream(), b""
        for batch in batches:
            chunk = stream.add(batch)
            for blob in chunk.blobs:
                store_blob(RealDisk(), self.directory, blob)
            data += b"".join(piece for piece in chunk.pieces if isinstance(piece, bytes))
            self.records += chunk.records
            places = zip(chunk.spans[::2], chunk.spans[1::2], strict=True)
            self.line_ends += [off + length for off, length in places]
            self.marks.append(chunk.end)
        self.data = data
        self.segment.write_bytes(data)
        (self.directory / "gen.1").touch()

    def within(self, length: int) -> list[Record]:
        """The records whose lines lie whole within the first `length` bytes."""
        return [r for r, end in zip(self.records, self.line_ends, strict=True) if end <= length]
