"""Reading files of the workspace, and changing them: one or many, all or nothing."""

import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from codetether_ray.core.errors import ToolError
from codetether_ray.core.masking import PLACEHOLDER
from codetether_ray.tools.paths import Place, open_file, parent, place, writable_place
from codetether_ray.tools.text import FileText, decode

MOST_BYTES = 20_000_000  # of a file that is edited or searched
_MASK = PLACEHOLDER.encode()
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read_bytes(found: Place, limit: int | None = None) -> bytes:
    """A file's bytes, at most `limit`.

    Raises:
        ToolError: it is not there (near names are suggested) or no regular file.
    """
    try:
        file = open_file(found)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ToolError(_missing(found)) from error
    with os.fdopen(file, "rb") as stream:
        return stream.read() if limit is None else stream.read(limit)


def read_text(found: Place) -> FileText:
    """A file's text, to be edited.

    Raises:
        ToolError: it is not there, no regular file, too large or binary.
    """
    data = read_bytes(found, MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ToolError(f"{found.relative} is larger than {MOST_BYTES // 1_000_000} MB")
    text = decode(data)
    if text is None:
        raise ToolError(f"{found.relative} is a binary file")
    return text


def _missing(found: Place) -> str:
    directory = found.path.parent
    try:
        names = [entry.name for entry in os.scandir(directory)]
    except OSError:
        return f"{found.relative} does not exist, nor does its directory; look with glob"
    near = get_close_matches(found.names[-1], names, 3, 0.6)
    prefix = "/".join(found.names[:-1])
    shown = ", ".join(f"{prefix}/{name}" if prefix else name for name in sorted(near))
    hint = f"; there is {shown}" if shown else "; look with glob or list_dir"
    return f"{found.relative} does not exist{hint}"


@dataclass(slots=True)
class _Change:
    """What a file was and what it shall be; None is absence."""

    place: Place
    before: bytes | None
    after: bytes | None
    mode_before: int | None = None
    mode: int | None = None

    @property
    def is_real(self) -> bool:
        """Whether anything is to be done."""
        return self.after != self.before or (
            self.after is not None and self.mode != self.mode_before
        )


@dataclass(slots=True)
class Changes:
    """Changes to files that are made together, or not at all.

    Until `commit` nothing is written; reading through it sees what was staged.
    """

    root: Path
    _changes: dict[tuple[str, ...], _Change] = field(default_factory=dict)

    def locate(self, path: str) -> Place:
        """Where a path is that may be written."""
        return writable_place(self.root, path)

    def refuse_link(self, path: str) -> None:
        """Raise `ToolError` where the path is a symlink: its target is not what is meant."""
        if (self.root / path).is_symlink():
            raise ToolError(f"{path} is a symbolic link; remove or move it with bash")

    def exists(self, found: Place) -> bool:
        """Whether there is something at the place, as staged."""
        staged = self._changes.get(found.names)
        if staged is not None:
            return staged.after is not None
        return os.path.lexists(found.path)

    def read(self, found: Place) -> FileText:
        """A file's text, as staged."""
        if found.names not in self._changes:
            return read_text(found)
        text = decode(self.read_bytes(found))
        if text is None:
            raise ToolError(f"{found.relative} is a binary file")
        return text

    def read_bytes(self, found: Place) -> bytes:
        """A file's bytes, as staged."""
        staged = self._changes.get(found.names)
        data = read_bytes(found) if staged is None else staged.after
        if data is None:
            raise ToolError(f"{found.relative} does not exist (it was deleted or moved before)")
        return data

    def write(self, found: Place, data: bytes, *, mode: int | None = None) -> None:
        """Stage new contents; an existing file keeps its mode unless one is given.

        Raises:
            ToolError: a secret would be lost, because the model saw a placeholder in its place.
        """
        change = self._change(found)
        if _MASK in data and change.before is not None and _MASK not in change.before:
            raise ToolError(
                f"{PLACEHOLDER} stands for a secret in {found.relative} that you were not shown; "
                "writing it would destroy the secret. Change other lines only, with edit"
            )
        change.after = data
        if mode is not None:
            change.mode = mode

    def delete(self, found: Place) -> None:
        """Stage a deletion."""
        self._change(found).after = None

    def mode(self, found: Place) -> int | None:
        """The permission bits of a file, as staged; None if it is new."""
        return self._change(found).mode

    def _change(self, found: Place) -> _Change:
        change = self._changes.get(found.names)
        if change is None:
            before, mode = None, None
            if os.path.lexists(found.path):
                before = read_bytes(found)
                mode = stat.S_IMODE(found.path.stat(follow_symlinks=False).st_mode)
            change = self._changes[found.names] = _Change(found, before, before, mode, mode)
        return change

    def commit(self) -> list[str]:
        """Write everything; the relative paths that changed.

        Raises:
            ToolError: a file could not be written; all are as they were before.
        """
        changes = [change for change in self._changes.values() if change.is_real]
        done: list[_Change] = []
        try:
            for change in changes:
                if change.after is not None:
                    replace_file(change.place, change.after, change.mode)
                    done.append(change)
            for change in changes:
                if change.after is None and change.before is not None:
                    _remove(change.place)
                    done.append(change)
        except OSError as error:
            self._undo(done)
            what = f"{change.place.relative}: {error.strerror or error}; nothing was changed"
            raise ToolError(what) from error
        return [change.place.relative for change in changes]

    @staticmethod
    def _undo(done: list[_Change]) -> None:
        for change in reversed(done):
            with suppress(OSError):
                if change.before is None:
                    _remove(change.place)
                else:
                    replace_file(change.place, change.before, change.mode_before)


def replace_file(found: Place, data: bytes, mode: int | None) -> None:
    """Write a whole file at once: a reader, or a crash, sees the old or the new one.

    Raises:
        OSError: the system refuses; the file is as it was.
    """
    temporary = f".{found.names[-1][:100]}.{secrets.token_hex(4)}.tmp"
    with parent(found, create=True) as directory:
        file = os.open(temporary, _NEW_FILE, 0o666, dir_fd=directory)
        try:
            with os.fdopen(file, "wb") as stream:
                stream.write(data)
                if mode is not None:
                    os.fchmod(stream.fileno(), mode)
            os.rename(temporary, found.names[-1], src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            raise


def _remove(found: Place) -> None:
    with parent(found) as directory:
        os.unlink(found.names[-1], dir_fd=directory)


def existing(root: Path, path: str) -> Place:
    """A place where something is.

    Raises:
        ToolError: nothing is there.
    """
    found = place(root, path)
    if not found.path.exists():
        raise ToolError(_missing(found))
    return found
