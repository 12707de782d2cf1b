"""A process that appends to a run and says what was promised, one number a line.

`python -m tests.faults.writer DATA_DIR COUNT [LENGTH]`; where the journal refuses, it says
`refused: …`, tries once more, says `again: …`, and ends with 3.
"""

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

from codetether_ray.core import failpoints
from codetether_ray.core.errors import JournalError
from codetether_ray.journal import compress
from codetether_ray.journal.segments import DEFAULT_SEGMENT_BYTES, run_directory
from codetether_ray.local.journal import LocalJournal
from tests.contracts.journal import RUN, note


async def main(data_dir: Path, count: int, length: int) -> int:
    segment_bytes = int(os.environ.get("SEGMENT_BYTES", DEFAULT_SEGMENT_BYTES))
    is_small = segment_bytes < DEFAULT_SEGMENT_BYTES
    if is_small:
        compress.MIN_BYTES = 0
    journal = await LocalJournal.open(data_dir, RUN, segment_bytes=segment_bytes)
    try:
        for number in range(count):
            kept = await journal.append([note("a", f"{number} " + "x" * length)])
            print(kept[0].seq, flush=True)
        while is_small and compress.compressible(run_directory(data_dir, RUN)):
            await asyncio.sleep(0.01)
    except JournalError as error:
        print(f"refused: {error}", flush=True)
        return await _again(journal)
    finally:
        await journal.close()
    return 0


async def _again(journal: LocalJournal) -> int:
    try:
        await journal.append([note("a", "again")])
    except JournalError as error:
        print(f"again: {error}", flush=True)
        return 3
    print("a failure was not final", flush=True)
    return 4


if __name__ == "__main__":
    failpoints.arm(os.environ)
    if limit := os.environ.get("FILE_BYTES"):
        sys.dont_write_bytecode = True  # others would find half a module
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    folder, *numbers = sys.argv[1:]
    wanted, long = (*map(int, numbers), 0)[:2]
    sys.exit(asyncio.run(main(Path(folder), wanted, long)))
