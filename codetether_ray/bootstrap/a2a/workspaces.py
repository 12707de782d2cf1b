"""A context's workspace: a clone on a branch of its own, or an empty place; what comes and goes.

The user's checkout is only read. The clone knows no remote, so that nothing an agent does there
reaches the repository that it was made from; what it changed leaves as a patch.
"""

import contextlib
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.repository import find_repository

PUT, TAKE = f"{__name__}:put", f"{__name__}:take"

INBOX = "inbox"
"""Where files that come with a message lie, below the workspace."""
OUTBOX = "outbox"
"""What an agent leaves here goes to whoever asked."""
BASE = "refs/codetether/base"
"""The commit that the workspace began with."""
_MOST_FILES = 16
_MOST_BYTES = 4_000_000
"""Of what leaves by one turn."""
_EXCLUDED = f"/{INBOX}/\n/{OUTBOX}/\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxFile:
    """A file that came with a message; its name is one plain segment of a path."""

    name: str
    content: bytes
    media_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxFile:
    """A file that an agent gives away."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Yield:
    """What a turn leaves behind for whoever asked; `notes` are sentences on what could not go."""

    patch: bytes = b""
    """All that was changed since the workspace was made; empty: nothing, or it is no clone."""
    files: tuple[OutboxFile, ...] = ()
    notes: tuple[str, ...] = ()


async def make(work: Path, repository: str) -> Path:
    """The directory to work in, made where it is not there: `work`, or the place in it that is to
    its top what `repository` is to its repository's.

    Raises:
        WorkspaceError: it cannot be made.
    """
    prefix = ""
    if repository:
        found = await find_repository(Path(repository))
        if found is None:
            raise WorkspaceError(f"{repository} is no git repository; serve one, or none")
        prefix = found.prefix
        if not work.exists():
            await _into(work, found.root)
    elif not work.exists():
        await _into(work, None)
    directory = work / prefix if prefix else work
    if not directory.is_dir():  # the branch has it not, or an agent removed it
        directory.mkdir(parents=True, exist_ok=True)
    return directory


async def _into(work: Path, source: Path | None) -> None:
    """Make it aside, and move it; one that was faster has made the same."""
    aside = work.with_name(f".{work.name}.{uuid.uuid4().hex}")
    try:
        aside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if source is not None:
            await _clone(source, aside)
        elif shutil.which("git") is not None:
            aside.mkdir(mode=0o700)
            await Git(work_tree=aside).run("init", "--quiet", "-b", "main")
        else:
            aside.mkdir(mode=0o700)
        if (aside / ".git").is_dir():
            await _settle(aside)
        with contextlib.suppress(OSError):
            aside.rename(work)
    except OSError as error:
        raise WorkspaceError(f"{work} cannot be made: {error.strerror}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


async def _clone(source: Path, aside: Path) -> None:
    git = Git(work_tree=aside.parent)
    await git.run("clone", "--quiet", "--no-local", "--", str(source), str(aside))
    await Git(work_tree=aside).run("remote", "remove", "origin")


async def _settle(work: Path) -> None:
    """A branch of its own, at a commit that is noted as the base."""
    git = Git(work_tree=work, git_dir=work / ".git")
    exclude = work / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    with exclude.open("a", encoding="utf-8") as file:
        file.write(_EXCLUDED)
    born = await git.run("rev-parse", "--verify", "--quiet", "HEAD", allow=(0, 1))
    if born.code:
        await git.run("commit", "--quiet", "--allow-empty", "-m", "An empty workspace")
    await git.run("checkout", "--quiet", "-b", f"codetether/{uuid.uuid4().hex[:12]}")
    await git.run("update-ref", BASE, "HEAD")


# -- what comes -----------------------------------------------------------------------------------


def put(_: Home, directory: str, files: Sequence[InboxFile]) -> None:
    """Write files into the inbox, whatever an agent made of that place.

    Raises:
        WorkspaceError: they cannot be written.
    """
    try:
        with _room(Path(directory), INBOX, make=True) as room:
            for file in files:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
                with os.fdopen(os.open(file.name, flags, 0o600, dir_fd=room), "wb") as out:
                    out.write(file.content)
    except OSError as error:
        raise WorkspaceError(
            f"what came with the message cannot be written into the workspace: {error.strerror}"
        ) from error


@contextlib.contextmanager
def _room(directory: Path, name: str, *, make: bool = False) -> Iterator[int]:
    """A directory below the workspace, itself and no link to another."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    top = os.open(directory, flags)
    try:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=top)
        room = os.open(name, flags, dir_fd=top)
    finally:
        os.close(top)
    try:
        yield room
    finally:
        os.close(room)


# -- what goes ------------------------------------------------------------------------------------


async def take(home: Home, directory: str, since: float, with_patch: bool) -> Yield:
    """What the agent leaves for whoever asked.

    Args:
        home: where this is called.
        directory: the workspace.
        since: files of the outbox that are older were given away before; seconds since the epoch.
        with_patch: whether the changes are wanted.
    """
    files, notes = _given(Path(directory), since)
    if not with_patch:
        return Yield(files=files, notes=notes)
    try:
        patch = await _patch(Path(directory))
    except WorkspaceError as error:
        return Yield(files=files, notes=(*notes, f"the changes cannot be told: {error}"))
    if len(patch) > _MOST_BYTES:
        words = f"the patch has {len(patch)} bytes; it stays in the workspace"
        return Yield(files=files, notes=(*notes, words))
    return Yield(patch=patch, files=files, notes=notes)


def _given(directory: Path, since: float) -> tuple[tuple[OutboxFile, ...], tuple[str, ...]]:
    """New plain files of the outbox itself, by name."""
    files: list[OutboxFile] = []
    left, size = 0, 0
    with contextlib.suppress(OSError), _room(directory, OUTBOX) as room:
        with os.scandir(room) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            content = _content(room, name, since, _MOST_BYTES - size)
            if content is None:
                continue
            if len(files) == _MOST_FILES or len(content) > _MOST_BYTES - size:
                left += 1
                continue
            size += len(content)
            files.append(OutboxFile(name=_said(name), content=content))
    notes = (f"{left} files of the outbox were too many or too large to be sent",) if left else ()
    return tuple(files), notes


def _content(room: int, name: str, since: float, room_left: int) -> bytes | None:
    """One byte more than there is room for, at most; None: no new plain file."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        found = os.stat(name, dir_fd=room, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or found.st_mtime < since:
            return None
        handle = os.open(name, flags, dir_fd=room)
        with os.fdopen(handle, "rb") as file:
            return file.read(room_left + 1)
    except OSError:
        return None


def _said(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


async def _patch(directory: Path) -> bytes:
    """All changes since the base, new files included, by an index of our own."""
    repository = await find_repository(directory)
    if repository is None:
        return b""
    git = Git(work_tree=repository.root, git_dir=repository.git_dir)
    based = await git.run("rev-parse", "--verify", "--quiet", BASE, allow=(0, 1, 128))
    if based.code:
        return b""
    with tempfile.TemporaryDirectory(prefix="codetether-") as folder:
        index = Path(folder) / "index"
        with contextlib.suppress(OSError):
            shutil.copy2(repository.git_dir / "index", index)
        await git.run("add", "--all", index=index)
        diff = await git.run("diff", "--cached", "--binary", "--no-ext-diff", BASE, index=index)
    return diff.stdout
