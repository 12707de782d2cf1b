"""Generations: each writer of a run gets a higher number, so that an older one can be refused.

The number is a file `gen.<n>`, made with O_EXCL: a compare-and-swap that outlives processes. The
taker raises it first and reads the tail second; a writer looks after its flush and before its ack
whether somebody raised it.
"""

import os
from pathlib import Path

_PREFIX = "gen."


def current_generation(directory: Path) -> int:
    """The highest generation taken; 0 if none was."""
    found = [p.name.removeprefix(_PREFIX) for p in directory.glob(f"{_PREFIX}*")]
    return max((int(number) for number in found if number.isdigit()), default=0)


def raise_generation(directory: Path) -> int:
    """Take the next generation, whoever else tries at the same time."""
    number = current_generation(directory)
    while True:
        number += 1
        try:
            os.close(os.open(generation_path(directory, number), _FLAGS, 0o600))
        except FileExistsError:
            continue
        return number


def generation_path(directory: Path, number: int) -> Path:
    """The file that says that generation `number` was taken."""
    return directory / f"{_PREFIX}{number}"


_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
