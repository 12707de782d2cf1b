"""Paths of tools: inside the workspace, whatever `..`, absolute paths and symlinks say.

A path is first made real (all symlinks followed, as far as it exists) and refused where it is not
below the root. What is then opened is opened component by component, following no symlink at all,
so that a link put there meanwhile is refused too.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core.errors import PathEscapesError, ToolError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Place:
    """A path inside the workspace: its real root, and the real names below it.

    No name is `..`, and when the place was made none was a symlink.
    """

    root: Path
    names: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The real path."""
        return self.root.joinpath(*self.names)

    @property
    def relative(self) -> str:
        """How it is shown: relative to the root, with slashes; `.` for the root."""
        return "/".join(self.names) or "."


def place(root: Path, path: str) -> Place:
    """Where `path`, as a model wrote it, really is.

    Raises:
        PathEscapesError: outside the root.
        ToolError: it is no path at all.
    """
    if "\0" in path:
        raise ToolError("a path cannot hold a NUL character")
    if path == "~" or path.startswith("~/"):
        raise PathEscapesError(path)
    real_root = os.path.realpath(root)
    try:
        real = os.path.realpath(os.path.join(real_root, path))  # noqa: PTH118 - for every call
    except OSError as error:  # too long, or symlinks in a circle
        raise ToolError(f"{path}: {error.strerror}") from error
    if real == real_root:
        return Place(Path(real_root), ())
    below = real_root.rstrip("/") + "/"
    if not real.startswith(below):
        raise PathEscapesError(path)
    if os.path.islink(real):  # noqa: PTH114 - realpath gave up: links in a circle
        raise ToolError(f"{path} is a symbolic link that leads nowhere")
    return Place(Path(real_root), tuple(real[len(below) :].split("/")))


def writable_place(root: Path, path: str) -> Place:
    """`place`, for a file that is to be written.

    Raises:
        PathEscapesError: outside the root.
        ToolError: it is the root itself, or belongs to git.
    """
    found = place(root, path)
    if not found.names or path.endswith(("/", "/.")):
        raise ToolError(f"{path or '.'} is a directory; name a file")
    if any(name.casefold() == ".git" for name in found.names):
        raise ToolError(f"{path} belongs to git; change it with git commands only")
    return found


def open_file(place: Place) -> int:
    """A descriptor to read a regular file.

    Raises:
        OSError: it cannot be opened.
        ToolError: it is no regular file, or a symlink appeared on the way.
    """
    with parent(place) as directory:
        file = _open(place, place.names[-1] if place.names else ".", _READ, directory)
    if os.path.isfile(file):  # noqa: PTH113 - a descriptor, not a path
        return file
    kind = "a directory" if os.path.isdir(file) else "not a regular file"  # noqa: PTH112
    os.close(file)
    raise ToolError(f"{place.relative} is {kind}")


@contextmanager
def parent(place: Place, *, create: bool = False) -> Iterator[int]:
    """A descriptor of the directory that holds the place; made, with its parents, on request.

    Raises:
        OSError: it is not there, or cannot be made.
        ToolError: a symlink appeared on the way.
    """
    directory = os.open(place.root, _DIRECTORY & ~os.O_NOFOLLOW)
    try:
        for name in place.names[:-1]:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=directory)
            inner = _open(place, name, _DIRECTORY, directory)
            os.close(directory)
            directory = inner
        yield directory
    finally:
        os.close(directory)


def _open(place: Place, name: str, flags: int, directory: int) -> int:
    try:
        return os.open(name, flags, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise PathEscapesError(place.relative) from error
        if error.errno == errno.ENOTDIR and _is_link(name, directory):
            raise PathEscapesError(place.relative) from error
        raise type(error)(error.errno, error.strerror, place.relative) from error


def _is_link(name: str, directory: int) -> bool:
    import stat  # noqa: PLC0415 - on this rare path only

    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except OSError:
        return False
