"""The hub of a run: a bare repository at the run's home that holds what every step left.

The user's objects are its alternates, so that it costs nothing to make. What is not reachable in
the user's repository from what a tree started from (a base, which a ref or a branch keeps alive
there) is in the hub itself: a `git gc` in the user's repository takes nothing away that a snapshot
needs. Nobody packs or prunes here but us. Commits and refs are written by this process, in git's
own formats, with its locks; a run makes many, and a process for each would cost more than they do.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import threading
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.core.ids import is_run_id
from codetether_ray.workspace.git_command import EMAIL, NAME, Git
from codetether_ray.workspace.names import ref_of, run_slug, unique

HUBS = "hubs"
"""Directory below the data directory."""
KEPT = "kept"
"""Below a run's own refs in the user's repository: commits that its hub builds on."""

_SETTINGS = "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[core]\n\tfsync = all\n"
_STALE_LOCK_S = 10.0  # a ref is locked for a flush; whoever held it longer is dead


def hub_path(data_dir: Path, run_id: str) -> Path:
    """Where a run's hub lies."""
    return data_dir / HUBS / f"{run_id if is_run_id(run_id) else run_slug(run_id)}.git"


def cleared_mark(data_dir: Path, run_id: str) -> Path:
    """A file that says that a run had a hub, which was taken away when the run was over."""
    return hub_path(data_dir, run_id).with_suffix(".cleared")


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub by its directory. Its methods block for a flush: call them in a thread."""

    path: Path

    @property
    def objects(self) -> Path:
        """Where its objects are."""
        return self.path / "objects"

    def over(self, git: Git) -> Git:
        """`git` with the same files, writing its objects into the hub; it finds the user's too."""
        return replace(git, env=(*git.env, ("GIT_OBJECT_DIRECTORY", str(self.objects))))

    async def make(self, git: Git, common_dir: Path) -> None:
        """Make the hub of the repository at `common_dir`, unless it is there.

        Raises:
            WorkspaceError: git refuses, or the data directory cannot be written.
        """
        if (self.path / "HEAD").exists():
            return
        kind = await git.text("rev-parse", "--show-object-format")
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}.{time.monotonic_ns()}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            await Git(work_tree=self.path.parent).run(
                "init", "--bare", "--quiet", "--template=", f"--object-format={kind}", str(draft)
            )
            await asyncio.to_thread(self._establish, draft, common_dir)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise WorkspaceError(f"the run's hub {self.path} cannot be made: {error}") from error

    def _establish(self, draft: Path, common_dir: Path) -> None:
        info = draft / "objects" / "info"
        info.mkdir(exist_ok=True)
        (info / "alternates").write_text(f"{common_dir.resolve() / 'objects'}\n", "utf-8")
        with (draft / "config").open("a", encoding="utf-8") as config:
            config.write(_SETTINGS)
        for place in (
            info / "alternates",
            draft / "config",
            draft / "HEAD",
            info,
            info.parent,
            draft,
        ):
            _flush(place)
        try:
            draft.rename(self.path)
        except OSError:
            if not (self.path / "HEAD").exists():
                raise
            shutil.rmtree(draft)  # another process was faster
        _flush(self.path.parent)
        _flush(self.path.parent.parent)  # the directory of all hubs may be new, too

    def common_dir(self) -> Path:
        """The repository whose objects it builds on."""
        return Path((self.objects / "info" / "alternates").read_text("utf-8").strip()).parent

    # -- objects ----------------------------------------------------------------------------------

    def lacks(self, oids: Iterable[str]) -> tuple[str, ...]:
        """Those objects that are not loose here: git found them elsewhere and wrote nothing."""
        return tuple(oid for oid in oids if not self._loose(oid).exists())

    def flush_names(self, oids: Iterable[str]) -> None:
        """Flush the directories that name these objects; git flushes the files alone."""
        places = {self._loose(oid).parent for oid in oids}
        for place in (*places, self.objects / "pack", self.objects):
            if place.is_dir():
                _flush(place)

    async def pack(self, git: Git, words: bytes, *, revisions: bool = False) -> None:
        """Copy objects into the hub as one pack: those named, or those that revisions reach."""
        await self.over(git).run(
            "pack-objects", "-q", *(("--revs",) if revisions else ()), "--delta-base-offset",
            str(self.objects / "pack" / "pack"), stdin=words, durable=True,
        )  # fmt: skip

    def commit(self, tree: str, parents: tuple[str, ...], message: str) -> str:
        """Write a commit and flush it."""
        when = f"{NAME} <{EMAIL}> {int(time.time())} +0000"
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"author {when}", f"committer {when}", "", message.rstrip("\n"), ""]
        body = "\n".join(lines).encode("utf-8", "replace")
        data = b"commit %d\0" % len(body) + body
        oid = (hashlib.sha256 if len(tree) == 64 else hashlib.sha1)(data).hexdigest()
        place = self._loose(oid)
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            _write(place, zlib.compress(data, 1), 0o444)
            _flush(place.parent)
            _flush(self.objects)
        return oid

    def _loose(self, oid: str) -> Path:
        return self.objects / oid[:2] / oid[2:]

    # -- refs -------------------------------------------------------------------------------------

    def read_ref(self, ref: str) -> str:
        """The commit of a ref; empty if there is none."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return (self.path / ref).read_text("ascii").strip()
        with contextlib.suppress(FileNotFoundError):  # somebody packed them by hand
            for line in (self.path / "packed-refs").read_text("utf-8").splitlines():
                oid, _, name = line.partition(" ")
                if name == ref:
                    return oid
        return ""

    def move_ref(self, ref: str, new: str, old: str) -> bool:
        """Move a ref from `old` ("": it must not exist), flushed; False if it stood elsewhere."""
        place = self.path / ref
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = place.with_name(f"{place.name}.lock")
        _take_lock(lock)
        try:
            if self.read_ref(ref) != old:
                return False
            _write(place, f"{new}\n".encode(), 0o644)
        finally:
            lock.unlink(missing_ok=True)
        for level in (place.parent,) if old else place.parents:
            if level.is_relative_to(self.path):
                _flush(level)
        return True

    async def adopt(self, git: Git, commit: str, base: str, ref: str) -> None:
        """Copy `commit`, and what leads to it from `base`, into the hub; return when it is safe.

        Raises:
            WorkspaceError: git refuses.
        """
        known = await asyncio.to_thread(self.read_ref, ref)
        if known == commit:
            return
        excluded = "".join(f"^{oid}\n" for oid in dict.fromkeys((base, known)) if oid)
        if commit != base:
            await self.pack(git, f"{commit}\n{excluded}".encode(), revisions=True)
        await asyncio.to_thread(self._name, ref, commit, known)

    def has_loose(self, oid: str) -> bool:
        """Whether an object was written here one by one, as snapshots are."""
        return self._loose(oid).exists()

    def name(self, ref: str, commit: str) -> None:
        """Have a ref stand at a commit that is here.

        Raises:
            WorkspaceError: another process moves it.
        """
        known = self.read_ref(ref)
        if known != commit:
            self._name(ref, commit, known)

    def _name(self, ref: str, commit: str, known: str) -> None:
        self.flush_names(())
        if not self.move_ref(ref, commit, known) and self.read_ref(ref) != commit:
            raise WorkspaceError(f"{ref} in {self.path} moved at this very moment; try again")


def agent_ref(run_id: str, agent: str, name: str) -> str:
    """A ref that keeps a tree of an agent alive."""
    return ref_of(run_id, *(unique(part) for part in agent.split("/")), name)


def kept_ref(run_id: str, commit: str) -> str:
    """A ref in the user's repository that keeps a commit alive which the hub builds on."""
    return ref_of(run_slug(run_id), KEPT, commit)


def _take_lock(lock: Path) -> None:
    """Make the lock file, which names its holder; one that a killed process left is taken away.

    It gets its name with the holder already in it: a process can be killed at any moment.

    Raises:
        WorkspaceError: somebody holds it.
    """
    draft = lock.with_name(f".{lock.name}.{os.getpid()}.{threading.get_ident()}")
    draft.write_text(str(os.getpid()), "ascii")
    try:
        for _ in range(2):
            try:
                os.link(draft, lock)
            except FileExistsError:
                with contextlib.suppress(FileNotFoundError):
                    if _is_abandoned(lock):
                        lock.unlink()
            else:
                return
    finally:
        draft.unlink()
    raise WorkspaceError(f"another process is at work in the run's hub ({lock} exists); try again")


def _is_abandoned(lock: Path) -> bool:
    """Whether the holder of a lock is dead, or holds it for longer than anybody needs."""
    if time.time() - lock.stat().st_mtime > _STALE_LOCK_S:
        return True
    try:
        os.kill(int(lock.read_text("ascii")), 0)
    except ProcessLookupError:
        return True
    except (ValueError, PermissionError):
        return False
    return False


def _write(place: Path, data: bytes, mode: int) -> None:
    """Write a file, whole or not at all, and flush it."""
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    file = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(file, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        draft.rename(place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _flush(place: Path) -> None:
    handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
