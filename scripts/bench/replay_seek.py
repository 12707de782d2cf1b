"""The last hundredth of a long run, read by byte range, against reading all of it.

    python scripts/bench/replay_seek.py [MEGABYTES] [--compressed]

The run is written by the journal itself, in its usual segments of 64 MB. Each reading is a process
of its own, so that its memory can be told; the files are in the page cache for both. With
`--compressed` all sealed segments are compressed first, and read again.
"""

import asyncio
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from codetether_ray.core.events import Record, ToolFinished
from codetether_ray.core.messages import ToolResult
from codetether_ray.core.spec import Correlation
from codetether_ray.disk.files import RealDisk
from codetether_ray.journal.compress import compress_segment
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import list_segments, run_directory
from codetether_ray.local.journal import LocalJournal

RUN = "ses_0000000000_00000000"
_BATCH, _OUTPUT = 200, 16_000
_GOAL = 50


async def build(directory: Path, megabytes: int) -> int:
    """Write the run; the length of its stream."""
    words = ["".join(random.Random(n).choices("abcdefgh", k=n % 9 + 1)) for n in range(500)]
    chance = random.Random(1)
    texts = [" ".join(chance.choices(words, k=_OUTPUT // 6)) for _ in range(50)]
    where = Correlation(run_id=RUN, session_id=RUN)
    journal = await LocalJournal.open(directory, RUN, where, disk=RealDisk())

    def record(number: int) -> Record:
        result = ToolResult(call_id=str(number), name="bash", content=texts[number % len(texts)])
        event = ToolFinished(step=number, result=result)
        return Record(correlation=where, agent="main", event=event, time=1.7e9 + number)

    number = size = 0
    while size < megabytes * 1_000_000:
        await journal.append([record(number + n) for n in range(_BATCH)])
        number += _BATCH
        size = number * len(record(0).to_text())
    await journal.close()
    segments = list_segments(run_directory(directory, RUN))
    return segments[-1].start + segments[-1].path.stat().st_size


def _read(directory: Path, start: int) -> None:
    """In the child: read from `start` on, and tell the time, the count and the memory."""
    started = time.perf_counter()
    count = sum(1 for _ in read_records(directory, RUN, start=start))
    wall = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"s": wall, "records": count, "peak_kb": peak}))


def _measure(directory: Path, start: int, rounds: int) -> tuple[float, float, int]:
    """Median seconds, megabytes that the whole process took at most, records."""
    found = []
    for _ in range(rounds):
        command = [sys.executable, __file__, "--read", str(directory), str(start)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout))
    seconds = statistics.median(f["s"] for f in found)
    return seconds, max(f["peak_kb"] for f in found) / 1024, found[0]["records"]


def _print(case: str, unit: str, ours: float, against: dict[str, float], ratio: float) -> None:
    row = {
        "bench": "replay",
        "case": case,
        "unit": unit,
        "ours": round(ours, 4),
        "against": against,
        "ratio": round(ratio, 1),
    }
    print(json.dumps(row), flush=True)


def cases(directory: Path, end: int, form: str) -> None:
    """Time and memory of both ways to read."""
    part, part_mb, records = _measure(directory, end - end // 100, 5)
    whole, whole_mb, everything = _measure(directory, 0, 1)
    case = f"last 1 % of {end / 1e9:.2f} GB by range, {form} ({records} of {everything} records)"
    _print(case, "s", part, {"read all": round(whole, 3)}, whole / part)
    _print(
        f"{case}: peak memory", "MB", part_mb, {"read all": round(whole_mb, 1)}, whole_mb / part_mb
    )
    if whole / part < _GOAL:
        print(f"the goal is {_GOAL} times", file=sys.stderr)


def main() -> None:
    """Print the cases."""
    if "--read" in sys.argv:
        _read(Path(sys.argv[2]), int(sys.argv[3]))
        return
    megabytes = next((int(a) for a in sys.argv[1:] if a.isdigit()), 1000)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        directory = Path(name)
        end = asyncio.run(build(directory, megabytes))
        cases(directory, end, "plain")
        if "--compressed" in sys.argv:
            for segment in list_segments(run_directory(directory, RUN)):
                if not segment.is_open:
                    compress_segment(segment, RealDisk())
            cases(directory, end, "compressed")


if __name__ == "__main__":
    main()
