"""Whether two processes see the same directory, and which data directory a mirror is of."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from codetether_ray.core.codec import JsonObject

_ID = "id"
"""The file, in a data directory, that tells it from every other one."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Home(Protocol):
    """What a function finds where it is called: `NodeHome`, or its like in this process."""

    @property
    def data_dir(self) -> Path:
        """The data directory there."""
        ...


def identity(home: Home) -> JsonObject:
    """Of a data directory: its path, its id, and the mark of `mark`."""
    folder = home.data_dir
    folder.mkdir(parents=True, exist_ok=True)
    return {"data_dir": str(folder), "id": _id(folder / _ID), "mark": mark(folder)}


def sees(_: Home, path: str) -> str:
    """What is at a path there; see `mark`."""
    return mark(Path(path))


def mark(path: Path) -> str:
    """Equal for two processes that see the same directory; empty where there is none.

    Device and inode are one kernel's own, so its boot id is part of it.
    """
    try:
        found = path.stat()
    except OSError:
        return ""
    boot = ""
    with suppress(OSError):
        boot = _BOOT.read_text(encoding="ascii").strip()
    return f"{boot}:{found.st_dev}:{found.st_ino}"


def _id(path: Path) -> str:
    """The id in the file, which is made where it is not there; two makers agree."""
    with suppress(OSError):
        return path.read_text(encoding="ascii").strip()
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(secrets.token_hex(8), encoding="ascii")
    with suppress(FileExistsError):
        os.link(fresh, path)
    fresh.unlink()
    return path.read_text(encoding="ascii").strip()
