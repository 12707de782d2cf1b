"""An index of our own: what was kept last, with the times that tell git what to read again.

Each process that an agent lives in has one, named `g1`, `g2` …; a new one begins as a copy of the
last, or of the index that the work tree has.
"""

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.workspace.names import unique

_DIRECTORY = "indexes"


@dataclass(slots=True)
class PrivateIndex:
    """An index file. `tree`: what it holds, if that was written; empty if not known."""

    path: Path
    name: str
    real: Path
    tree: str = ""

    @classmethod
    def reserve(cls, hub: Path, agent: str, real: Path) -> "PrivateIndex":
        """A new one for an agent whose work tree has the index `real`."""
        room = hub / _DIRECTORY / "/".join(unique(part) for part in agent.split("/"))
        room.mkdir(parents=True, exist_ok=True)
        number = max(_numbers(room), default=0)
        last = room / f"g{number}"
        while True:
            number += 1
            path = room / f"g{number}"
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                break
        made = cls(path=path, name=path.name, real=real)
        made._copy(last if last.exists() and last.stat().st_size else real)
        return made

    def _copy(self, source: Path) -> None:
        self.tree = ""
        self.path.with_name(f"{self.path.name}.lock").unlink(missing_ok=True)
        if source.exists():
            shutil.copy2(source, self.path)  # its time tells racy entries
        else:
            self.path.unlink(missing_ok=True)

    def renew(self) -> None:
        """Begin again from the work tree's own."""
        self._copy(self.real)

    def forget(self) -> None:
        """Hold nothing."""
        self.tree = ""
        self.path.unlink(missing_ok=True)


def _numbers(room: Path) -> list[int]:
    return [int(m[1]) for p in room.iterdir() if (m := re.fullmatch(r"g(\d+)", p.name))]
