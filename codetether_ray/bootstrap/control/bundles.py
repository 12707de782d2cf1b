"""Git bundles that come and go: what runs work on, and what they have made. Called on the truth.

A bundle that comes is one file below the data directory, its sender's alone, and goes a day after
it came. One that goes out is made when it is asked for, read in pieces, and removed with the last.
"""

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.bootstrap.control.owned import check, command_of
from codetether_ray.bootstrap.trees.node import VIEW
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError, UnknownRunError, UsageError, WorkspaceError
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.names import branch_of, run_slug, tree_name
from codetether_ray.workspace.repos import Clones
from codetether_ray.workspace.transport import present

BEGIN, PUT, END = f"{__name__}:begin", f"{__name__}:put", f"{__name__}:end"
DROP, PACK, PIECE = f"{__name__}:drop", f"{__name__}:pack", f"{__name__}:piece"

LIMIT_BYTES = 1_000_000_000
"""Of one bundle."""
_MOST = 20
"""Bundles of one sender that are kept at a time."""
_KEPT_S = 24 * 3600.0
_OUTGOING_S = 3600.0
PIECE_BYTES = 4_000_000
_ID = re.compile(r"[0-9a-f]{32}")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_COMING, _GOING = Path("ingress", "bundles"), Path("ingress", "outgoing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle that is whole."""

    id: str
    size: int
    """Bytes."""
    sha256: str
    refs: dict[str, str]
    """What it names, with the commits."""


class UnknownBundleError(CodetetherError):
    """Its sender has no such bundle."""

    exit_code = 2
    http_status = 404

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id

    def __str__(self) -> str:
        return f"there is no bundle {self.id}; POST /v1/bundles uploads one"


# -- coming ---------------------------------------------------------------------------------------


def begin(home: Home, owner: str) -> str:
    """The id of a bundle that will come in pieces.

    Raises:
        UsageError: the sender has too many already.
    """
    folder = _folder(home, owner)
    _sweep(folder, _KEPT_S)
    if len(list(folder.iterdir())) >= _MOST:
        raise UsageError(
            f"{_MOST} bundles of yours are here already; each goes a day after it came"
        )
    id = secrets.token_hex(16)
    (folder / f"{id}.part").touch(mode=0o600)
    return id


def put(home: Home, owner: str, id: str, offset: int, data: bytes) -> None:
    """The bytes from `offset` on.

    Raises:
        UsageError: nothing of that id is coming, it is too large, or a piece is missing.
    """
    path = _folder(home, owner) / f"{_checked(id)}.part"
    if not path.is_file():
        raise UsageError(f"no bundle {id} is coming")
    if offset + len(data) > LIMIT_BYTES:
        path.unlink()
        raise UsageError(f"a bundle may have {LIMIT_BYTES} bytes at most")
    if path.stat().st_size != offset:
        raise UsageError(f"the piece at {offset} does not fit: {path.stat().st_size} bytes came")
    with path.open("ab") as file:
        file.write(data)


async def end(home: Home, owner: str, id: str) -> Bundle:
    """All of it has come; it is looked at.

    Raises:
        UsageError: it is no bundle that git can read, or needs commits that it does not hold.
    """
    part = _folder(home, owner) / f"{_checked(id)}.part"
    size, digest = await asyncio.to_thread(_measured, part)
    try:
        refs = await _refs(part)
    except WorkspaceError:
        part.unlink(missing_ok=True)
        raise UsageError(
            "that is no git bundle; `git bundle create FILE --all` makes one"
        ) from None
    except UsageError:
        part.unlink(missing_ok=True)
        raise
    part.rename(part.with_suffix(".bundle"))
    return Bundle(id=id, size=size, sha256=digest, refs=refs)


def drop(home: Home, owner: str, id: str) -> bool:
    """Remove one; False where there is none."""
    found = False
    for suffix in (".part", ".bundle"):
        path = _folder(home, owner) / f"{_checked(id)}{suffix}"
        if path.exists():
            path.unlink()
            found = True
    return found


def bundle_path(home: Home, owner: str, id: str) -> Path:
    """The file of a bundle that has come.

    Raises:
        UnknownBundleError: the sender has none of that id.
    """
    path = _folder(home, owner) / f"{_checked(id)}.bundle"
    if not path.is_file():
        raise UnknownBundleError(id)
    return path


async def upload(truth: Truth, owner: str, pieces: AsyncIterator[bytes]) -> Bundle:
    """Have a bundle of the truth's, from bytes that come.

    Raises:
        UsageError: see `begin`, `put`, `end`.
    """
    id: str = await truth.ask(BEGIN, owner)
    try:
        offset, waiting = 0, bytearray()
        async for piece in pieces:
            waiting += piece
            if len(waiting) >= PIECE_BYTES:
                await truth.ask(PUT, owner, id, offset, bytes(waiting))
                offset += len(waiting)
                waiting.clear()
        if waiting:
            await truth.ask(PUT, owner, id, offset, bytes(waiting))
        found: Bundle = await truth.ask(END, owner, id)
    except BaseException:
        await asyncio.shield(truth.ask(DROP, owner, id))
        raise
    return found


async def _refs(path: Path) -> dict[str, str]:
    git = Git(work_tree=path.parent)
    with path.open("rb") as file:  # git would open what is no bundle as something else
        head = file.read(4096)
    if not head.startswith((b"# v2 git bundle\n", b"# v3 git bundle\n")):
        raise WorkspaceError("it does not begin as a bundle does")
    if b"\n-" in head.partition(b"\n\n")[0]:
        raise UsageError(
            "the bundle needs commits that it does not hold; make it without a range: "
            "`git bundle create FILE --all`"
        )
    out = await git.text("bundle", "list-heads", str(path))
    found = {name: commit for commit, _, name in (line.partition(" ") for line in out.splitlines())}
    if not found:
        raise WorkspaceError("it names no commit")
    return found


# -- going ----------------------------------------------------------------------------------------


async def pack(home: Home, run_id: str, owner: str | None, since: str) -> Bundle:
    """A bundle of the branches that a run has made, less what leads to the commit `since`.

    Raises:
        UnknownRunError: the owner has no such run.
        UsageError: it has no branches, or not that commit.
        WorkspaceError: git refuses, or the repository is gone.
    """
    check(home, run_id, owner)
    git, refs = await _branches(home, run_id)
    have = await _known(git, since)
    folder = home.data_dir / _GOING
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(folder, _OUTGOING_S)
    id = secrets.token_hex(16)
    path = folder / id
    await git.run("bundle", "create", "--quiet", str(path), *refs, *(f"^{one}" for one in have))
    size, digest = await asyncio.to_thread(_measured, path)
    return Bundle(id=id, size=size, sha256=digest, refs=refs)


def piece(home: Home, id: str, offset: int) -> bytes:
    """Bytes of what `pack` made; with the last it is removed."""
    path = home.data_dir / _GOING / _checked(id)
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(PIECE_BYTES)
    except FileNotFoundError:
        raise UsageError("the bundle was not read in time; ask for it again") from None
    if len(data) < PIECE_BYTES:
        path.unlink(missing_ok=True)
    return data


async def pieces(truth: Truth, bundle: Bundle) -> AsyncIterator[bytes]:
    """All bytes of what `pack` made."""
    offset = 0
    while offset < bundle.size:
        data: bytes = await truth.ask(PIECE, bundle.id, offset)
        if not data:
            return
        offset += len(data)
        yield data


async def _branches(home: Home, run_id: str) -> tuple[Git, dict[str, str]]:
    """The repository that a run works on, and the run's branches there."""
    command = await asyncio.to_thread(command_of, home.data_dir, run_id)
    if command is None:
        raise UnknownRunError(run_id)
    git = await _repository(home, command)
    slug = run_slug(run_id)
    prefix = f"refs/heads/{branch_of(slug, '')}"
    out = await git.text("for-each-ref", "--format=%(refname) %(objectname)", prefix)
    found = dict(line.split(" ") for line in out.splitlines())
    found.pop(prefix + tree_name(VIEW), None)  # where a planner looked around
    if not found:
        raise UsageError(f"{run_id} has no branch: it has committed nothing, or works outside git")
    return git, found


async def _repository(home: Home, command: JsonObject) -> Git:
    """Where a run's branches are: the clone at its home, or the repository of its directory."""
    if command.get("repository"):
        clones = Clones(home.data_dir)
        path = clones.path(str(command["repository"]))
        if not path.exists():
            raise WorkspaceError(f"the clone {path} is gone")
        return clones.git(str(command["repository"]))
    directory = Path(str(command.get("directory", "")))
    if not directory.is_dir():
        raise WorkspaceError(f"the directory {directory} is gone")
    return Git(work_tree=directory)


async def _known(git: Git, since: str) -> tuple[str, ...]:
    if not since:
        return ()
    if not _COMMIT.fullmatch(since):
        raise UsageError(f"{since!r} is no commit; write its whole hash")
    found = await present(git, (since,))
    if not found:
        raise UsageError(f"the run's repository has no commit {since}")
    return found


# -- files ----------------------------------------------------------------------------------------


def _folder(home: Home, owner: str) -> Path:
    """Of one sender; no name of theirs is part of a path."""
    folder = home.data_dir / _COMING / hashlib.sha256(owner.encode()).hexdigest()[:16]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _checked(id: str) -> str:
    """An id that is one, so that no path hides in it.

    Raises:
        UsageError: it is not.
    """
    if not _ID.fullmatch(id):
        raise UsageError(f"{id!r} is no id of a bundle")
    return id


def _sweep(folder: Path, kept_s: float) -> None:
    for path in folder.iterdir():
        try:
            if path.stat().st_mtime < time.time() - kept_s:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            continue


def _measured(path: Path) -> tuple[int, str]:
    """A file's size and SHA-256."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(1 << 20):
                digest.update(data)
    except FileNotFoundError:
        raise UsageError("no such bundle is coming") from None
    return path.stat().st_size, digest.hexdigest()
