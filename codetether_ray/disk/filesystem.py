"""What kind of file system a path is on, and whether it keeps what the journal relies on.

The journal needs appends, flushes, renames and locks as a local disk gives them.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")  # proc(5): space, tab, newline and backslash are escaped

_NETWORK = "another machine may not see the newest write, and locks may not hold"
_MEMORY = "it is gone with the machine's power"
_LAYER = "it is gone with the container; put the data directory on a volume"
_OBJECTS = "it has no flush and no atomic rename; use the archive for object stores"
_WARNINGS = MappingProxyType(
    {
        "nfs": _NETWORK,
        "nfs4": _NETWORK,
        "cifs": _NETWORK,
        "smb3": _NETWORK,
        "9p": _NETWORK,
        "fuse.sshfs": _NETWORK,
        "tmpfs": _MEMORY,
        "ramfs": _MEMORY,
        "overlay": _LAYER,
        "aufs": _LAYER,
        "fuse.s3fs": _OBJECTS,
        "fuse.mountpoint-s3": _OBJECTS,
        "fuse.geesefs": _OBJECTS,
        "fuse.goofys": _OBJECTS,
        "fuse.rclone": _OBJECTS,
        "fuse.gcsfuse": _OBJECTS,
        "fuse.blobfuse2": _OBJECTS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """Where a path is. `warning` is empty where nothing speaks against it, else why it is unfit."""

    kind: str
    mount: str
    warning: str = ""

    def __str__(self) -> str:
        words = f"{self.kind} at {self.mount}"
        return f"{words}: {self.warning}" if self.warning else words


def describe(path: Path, mounts: str | None = None) -> FileSystem:
    """The file system of `path`, or of the nearest directory above it that exists.

    `mounts` is the text of /proc/self/mountinfo. Kind and mount are empty where the system does
    not tell.
    """
    if mounts is None:
        if sys.platform != "linux" or not _MOUNTS.exists():
            return FileSystem(kind="", mount="")
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    place = str(path.resolve())
    best = ("", "")
    for line in mounts.splitlines():
        mount, kind = _read(line)
        if _is_below(place, mount) and len(mount) >= len(best[0]):  # of equals the last is on top
            best = (mount, kind)
    mount, kind = best
    return FileSystem(kind=kind, mount=mount, warning=_warning(kind))


def _read(line: str) -> tuple[str, str]:
    """Mount point and kind of one line of mountinfo (proc(5)); empty if it is none."""
    before, _, behind = line.partition(" - ")
    fields = before.split(" ")
    if len(fields) < 5 or not behind:
        return "", ""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]), behind.split(" ")[0]


def _is_below(place: str, mount: str) -> bool:
    return bool(mount) and (place == mount or place.startswith(mount.rstrip("/") + "/"))


def _warning(kind: str) -> str:
    if kind in _WARNINGS:
        return _WARNINGS[kind]
    return _OBJECTS if kind.startswith("fuse.") and "s3" in kind else ""
