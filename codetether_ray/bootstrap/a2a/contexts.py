"""Contexts: whose they are, their session, their workspace. Called on the truth by name.

`<data>/contexts/<owner>/<context>/`, both names digests, holds `context.json`, written once, and
the workspace `work`. Two that open a context at once agree: what is made is made aside, and moved.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.core.codec import decode, encode_object
from codetether_ray.core.errors import CodetetherError, UnknownRunError, WorkspaceError
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.spec import AgentKind
from codetether_ray.journal.lock import live_holder
from codetether_ray.journal.segments import run_directory

OPEN, MAKE = f"{__name__}:opened", f"{__name__}:made"
FIND, CLEAN = f"{__name__}:find", f"{__name__}:clean"

ROOM = "contexts"
WORK = "work"
KEPT_S = 30 * 24 * 3600.0
"""How long a workspace is kept after its last message."""
_UNFINISHED_S = 24 * 3600.0
_RECORD = "context.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A conversation of somebody's with this server."""

    owner: str
    id: str
    """What the client calls it."""
    session_id: str
    made_at: float
    """Seconds since the epoch."""
    title: str = ""
    agent: AgentKind = "main"
    model: str = ""
    """As its maker chose; empty: the server's."""
    repository: str = ""
    """What its workspace is a clone of; empty: it began empty."""
    directory: str = ""
    """Where its agent works."""
    opened_at: float = 0.0
    """When it was opened for this message, by the clock of its place."""


def made(home: Home, wanted: Context) -> Context:
    """The context of that owner and id, made as `wanted` where it is not there.

    Raises:
        WorkspaceError: it cannot be written.
    """
    record = _folder(home.data_dir, wanted.owner, wanted.id) / _RECORD
    return _read(record) or _write(record, wanted)


async def opened(home: Home, wanted: Context) -> Context:
    """The same, for a message: its workspace stands, and it was used now.

    Raises:
        WorkspaceError: the workspace cannot be made.
    """
    from codetether_ray.bootstrap.a2a.workspaces import make

    folder = _folder(home.data_dir, wanted.owner, wanted.id)
    record = folder / _RECORD
    found = await asyncio.to_thread(made, home, wanted)
    with contextlib.suppress(OSError):
        os.utime(record)
    directory = await make(folder / WORK, found.repository)
    return replace(found, directory=str(directory), opened_at=time.time())


def find(home: Home, owner: str, session_id: str) -> Context:
    """The context with that session.

    Raises:
        UnknownRunError: the owner has none.
    """
    found = _read(_folder(home.data_dir, owner, session_id) / _RECORD)
    if found is not None and found.session_id == session_id:
        return found
    for context in of_owner(home.data_dir, owner):
        if context.session_id == session_id:
            return context
    raise UnknownRunError(session_id)


def of_owner(data_dir: Path, owner: str) -> Iterator[Context]:
    """All contexts of somebody, in no order."""
    with contextlib.suppress(OSError):
        for folder in _owners_folder(data_dir, owner).iterdir():
            found = _read(folder / _RECORD)
            if found is not None:
                yield found


def last_used(data_dir: Path, context: Context) -> float:
    """When its last message came, in seconds since the epoch."""
    try:
        return (_folder(data_dir, context.owner, context.id) / _RECORD).stat().st_mtime
    except OSError:
        return context.made_at


def clean(home: Home, older_than_s: float) -> int:
    """Remove workspaces whose context had no message for so long; how many went.

    The conversations stay. One in which an agent works is left alone.
    """
    gone, now = 0, time.time()
    for left in (home.data_dir / ROOM).glob(f"*/*/.{WORK}.*"):  # a server died as it was made
        with contextlib.suppress(OSError):
            if now - left.stat().st_mtime > _UNFINISHED_S:
                shutil.rmtree(left)
    for record in (home.data_dir / ROOM).glob(f"*/*/{_RECORD}"):
        context = _read(record)
        work = record.parent / WORK
        if context is None or not work.exists() or now - record.stat().st_mtime < older_than_s:
            continue
        if live_holder(run_directory(home.data_dir, context.session_id)) is None:
            aside = record.parent / f".{WORK}.{os.getpid()}.removed"
            with contextlib.suppress(OSError):
                work.rename(aside)
                shutil.rmtree(aside, ignore_errors=True)
                gone += 1
    return gone


def put_aside(data_dir: Path, session_id: str) -> list[Path]:
    """Have a session's context out of sight; what is left of it is to be removed."""
    room, aside = data_dir / ROOM, f".forgotten-{session_id}"
    for record in room.glob(f"*/*/{_RECORD}"):
        found = _read(record)
        if found is not None and found.session_id == session_id:
            record.parent.rename(record.parent.with_name(aside))
    return list(room.glob(f"*/{aside}"))


def wanted(
    owner: str,
    context_id: str,
    *,
    title: str = "",
    agent: AgentKind = "main",
    model: str = "",
    repository: str = "",
) -> Context:
    """A context that is to be there, with a session of its own should it be new."""
    return Context(
        owner=owner,
        id=context_id,
        session_id=new_run_id("session"),
        made_at=time.time(),
        title=" ".join(title.split())[:120],
        agent=agent,
        model=model,
        repository=repository,
    )


def named_by_session(context: Context) -> Context:
    """The same with its session's id as its own: found at once, and told to clients as one."""
    return replace(context, id=context.session_id)


def _owners_folder(data_dir: Path, owner: str) -> Path:
    return data_dir / ROOM / _digest(owner)[:24]


def _folder(data_dir: Path, owner: str, context_id: str) -> Path:
    return _owners_folder(data_dir, owner) / _digest(f"{owner}\0{context_id}")[:40]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> Context | None:
    try:
        return decode(Context, json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CodetetherError(f"{path} cannot be read: {error}") from error


def _write(path: Path, wanted: Context) -> Context:
    """Write it once; whoever comes later has what was there first.

    Raises:
        WorkspaceError: it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.{wanted.session_id}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(encode_object(wanted), file)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be written: {error.strerror}") from error
    found = _read(path)
    assert found is not None
    return found
