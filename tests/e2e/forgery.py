"""Somebody edits a run's journal by hand and computes every number and checksum anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codetether_ray.disk.files import RealDisk
from codetether_ray.journal import lines
from codetether_ray.journal.lines import Position
from codetether_ray.journal.mark import write_mark
from codetether_ray.journal.scan import RunScan
from codetether_ray.journal.segments import list_segments, open_name, run_directory

Lines = list[dict[str, Any]]
Edit = Callable[[Lines], None]
"""Changes the records of a run (their own members) in place."""

_FRAMING = ("v", "seq", "off", "gen", "prev", "crc")


def forge(data_dir: Path, run_id: str, edit: Edit) -> None:
    """Write the run anew as `edit` makes it, as one segment without a flaw."""
    directory = run_directory(data_dir, run_id)
    found = [line.data for line in RunScan(run_id, directory)]
    opened, records = found[0], [d for d in found if d["kind"] not in lines.CONTROL]
    edit(records)
    position, written = Position(), []
    for data in (opened, *records):
        own = {name: value for name, value in data.items() if name not in _FRAMING}
        members = json.dumps(own, ensure_ascii=False, separators=(",", ":"))[1:-1]
        line = lines.frame(position, data["gen"], members)
        position = lines.after(position, line, is_control=data is opened)
        written.append(line)
    for segment in list_segments(directory):
        segment.path.unlink()
    (directory / open_name(0, 0.0)).write_bytes(b"".join(written))
    for turn in (0, 1):
        write_mark(RealDisk(), directory, position, turn)


def renumbered(records: Lines) -> None:
    """Give every agent's records dense numbers again."""
    counts: dict[str, int] = {}
    for data in records:
        data["agent_seq"] = counts.get(data["agent"], 0)
        counts[data["agent"]] = data["agent_seq"] + 1


def find(records: Lines, kind: str, agent: str = "", number: int = 0) -> dict[str, Any]:
    """The `number`-th record of a kind, of an agent if one is named."""
    found = [d for d in records if d["kind"] == kind and (not agent or d["agent"] == agent)]
    return found[number]
