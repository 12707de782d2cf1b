"""Reminds a person, on a terminal, of a run of this directory that never came to an end."""

import os
import sys
from pathlib import Path
from typing import TextIO

from codetether_ray.cli import words

_LOOKED_AT = 20
"""How many of the newest runs are looked at: a reminder may not cost what a listing does."""


def remind(directory: Path, stream: TextIO | None = None) -> None:
    """Say, on a terminal, which run was cut off in `directory` and how to go on with it."""
    stream = stream or sys.stderr
    if not stream.isatty():
        return
    from codetether_ray.bootstrap.resuming import resume_command, unfinished_here
    from codetether_ray.config.paths import data_dir
    from codetether_ray.journal.listing import list_runs

    found = unfinished_here(list_runs(data_dir(os.environ), newest=_LOOKED_AT), directory)
    if found is None:
        return
    title = words.one_line(found.title, 60)
    stream.write(
        f'codetether: "{title}" was cut off here; it goes on with: '
        f"{resume_command(found.kind, found.id)}\n"
    )
    stream.flush()
