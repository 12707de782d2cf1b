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

from codetether_ray.core.errors import JournalError
from codetether_ray.local.journal import LocalJournal
from tests.contracts.journal import RUN, note


async def main(data_dir: Path, count: int, length: int) -> int:
    journal = await LocalJournal.open(data_dir, RUN)
    try:
        for number in range(count):
            kept = await journal.append([note("a", f"{number} " + "x" * length)])
            print(kept[0].seq, flush=True)
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
    if limit := os.environ.get("FILE_BYTES"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    folder, *numbers = sys.argv[1:]
    wanted, long = (*map(int, numbers), 0)[:2]
    sys.exit(asyncio.run(main(Path(folder), wanted, long)))
