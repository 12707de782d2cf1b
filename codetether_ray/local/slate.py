"""A process between two agents: put back as it was, or found to be another than it was.

What agents may leave behind in their process by design (variables, a working directory, caches,
data of modules, temporary files) is put back. What they must not touch is looked at: code, threads,
tasks, descriptors, children. A process that shows a mark of that kind serves nobody any more.
"""

import _thread
import asyncio
import gc
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from codetether_ray.local import code_print

_PATIENCE_S = 1.0
"""How long tasks and threads that were told to end may take."""
_PROC = Path("/proc/self")
_THREADS = 32
"""Of an agent process's own executor, at most."""
_NEW_OBJECTS = (5_000, 20, 50)
"""Between looks for cycles: CPython's own 700 of the young cost a tenth of a busy process's CPU."""
_OWN_FILES = ("/dev/", "/proc/", "/sys/", "/memfd:", "/anon_hugepage", "anon_inode:")
"""Descriptors of the system's, which say nothing of agents."""


class Slate:
    """What the process of a running event loop was like before its first agent.

    Keeps true: after `wipe` returned nothing, an agent finds in this process what its first one
    found, as far as Python shows it.
    """

    def __init__(self, temporary: Path, *, ignored_files: tuple[str, ...] = ()) -> None:
        """Look at the process as it is now.

        Below `temporary` each life gets a folder. `ignored_files`: what is open below these.
        """
        self._loop = asyncio.get_running_loop()
        self._place = temporary
        self._ignored = (*_OWN_FILES, *ignored_files)
        self._environ = self._dress = dict(os.environ)
        self._worn = _variables()
        self._cwd = _cwd()
        self._umask = _umask()
        self._path = list(sys.path)
        self._interpreter = _interpreter(self._loop)
        self._threads = set(threading.enumerate())
        self._started = _thread._count()
        self._tasks = asyncio.all_tasks()
        self._timers = _timers(self._loop)
        self._watched = _watched(self._loop)
        self._files = self._open_files()
        self._temporary = tempfile.tempdir
        self._folder: Path | None = None
        self._executor: ThreadPoolExecutor | None = None
        gc.collect()
        gc.freeze()  # what is there now belongs to nobody: later looks pass it by
        self._code = code_print.learn()

    def begin(self) -> None:
        """A life begins: it has threads and a folder for temporary files of its own."""
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="agent")
        self._loop.set_default_executor(self._executor)
        self._folder = Path(tempfile.mkdtemp(prefix="agent-", dir=self._place))
        tempfile.tempdir = str(self._folder)
        self._dress, self._worn = self._environ, _variables()  # of this life, not of the last
        gc.set_threshold(*_NEW_OBJECTS)

    def dress(self, variables: Mapping[str, str]) -> None:
        """Let the process have these variables until it is wiped."""
        os.environ.update(variables)
        self._dress = dict(os.environ)
        self._worn = _variables()

    def tidy(self) -> tuple[str, ...]:
        """Put back what is cheap to look at, while other agents live; what had been changed."""
        found = self._put_back_places()
        if _variables() != self._worn:
            found.append("variables")
            _restore(os.environ, self._dress)
        return tuple(found)

    async def wipe(self, spared: Collection["asyncio.Task[None]"] = ()) -> tuple[str, ...]:
        """Put back what can be; the marks of what cannot. `spared` tasks are the process's own."""
        marks = await self._end_tasks(spared)
        marks += await asyncio.to_thread(_children)
        marks += await self._end_threads()
        _restore(os.environ, self._environ)
        self._put_back_places()
        self._remove_folder()
        marks += self._code.restore()
        gc.collect()
        found = (*marks, *self._left())
        gc.freeze()
        return found

    # -- what is put back -------------------------------------------------------------------------

    def _put_back_places(self) -> list[str]:
        found = []
        if _cwd() != self._cwd:
            found.append("working directory")
            os.chdir(self._cwd)
        if _umask() != self._umask:
            found.append("umask")
            os.umask(self._umask)
        if sys.path != self._path:
            found.append("module path")
            sys.path[:] = self._path
        return found

    def _remove_folder(self) -> None:
        tempfile.tempdir = self._temporary
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    async def _end_tasks(self, spared: Collection["asyncio.Task[None]"]) -> list[str]:
        tasks = asyncio.all_tasks() - self._tasks - {asyncio.current_task(), *spared}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE_S)
        return [f"task {task.get_name()}" for task in tasks if not task.done()]

    async def _end_threads(self) -> list[str]:
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
        self._loop.set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="between"))
        deadline = self._loop.time() + _PATIENCE_S
        while (left := self._new_threads()) and self._loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        return left

    def _new_threads(self) -> list[str]:
        """Those that Python started; the ones that Ray makes by itself are no threads of agents."""
        if _thread._count() <= self._started:
            return []
        new = [t for t in threading.enumerate() if t not in self._threads and t.is_alive()]
        known = [t for t in new if not isinstance(t, threading._DummyThread)]
        return [f"thread {t.name}" for t in known] or ["a thread"]

    # -- what is looked at ------------------------------------------------------------------------

    def _left(self) -> Iterator[str]:
        now = _interpreter(self._loop)
        yield from (name for name, value in self._interpreter.items() if now[name] != value)
        if _timers(self._loop) - self._timers:
            yield "a timer"
        if _watched(self._loop) - self._watched:
            yield "a watched descriptor"
        yield from (f"open {name}" for name in self._open_files() - self._files)
        yield from _open_sockets()

    def _open_files(self) -> set[str]:
        found = set()
        for entry in (_PROC / "fd").iterdir():
            with suppress(OSError):
                target = str(entry.readlink())
                if target.startswith("/") and not target.startswith(self._ignored):
                    found.add(target)
        return found


def _restore(values: Any, known: Mapping[str, str]) -> None:
    if values == known:
        return
    for name in values.keys() - known.keys():
        del values[name]
    values.update(known)


def _variables() -> Mapping[Any, Any]:
    """The environment as it is now, to be compared: as bytes where Python holds them, which spares
    two decodings a variable."""
    return dict(getattr(os.environ, "_data", os.environ))


def _cwd() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - for every agent
    except FileNotFoundError:  # somebody removed it
        return ""


def _umask() -> int:
    _, found, rest = (_PROC / "status").read_bytes().partition(b"\nUmask:")
    return int(rest[:8].split()[0], 8) if found else -1


def _interpreter(loop: asyncio.AbstractEventLoop) -> dict[str, object]:
    """Parts of the interpreter that agents must leave alone, told by identity."""
    handlers = tuple(id(signal.getsignal(number)) for number in signal.valid_signals())
    hooks = (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook)
    return {
        "signal handlers": handlers,
        "hooks": tuple(map(id, hooks)),
        "tracing": (sys.gettrace(), sys.getprofile()),
        "importers": tuple(map(id, [*sys.meta_path, *sys.path_hooks])),
        "streams": tuple(map(id, (sys.stdin, sys.stdout, sys.stderr))),
        "environment": id(os.environ),
        "loop": (id(loop.get_task_factory()), loop.get_debug()),
    }


def _timers(loop: asyncio.AbstractEventLoop) -> set[int]:
    scheduled = getattr(loop, "_scheduled", ())
    return {id(handle) for handle in scheduled if not handle.cancelled()}


def _watched(loop: asyncio.AbstractEventLoop) -> set[int]:
    selector = getattr(loop, "_selector", None)
    return set() if selector is None else {id(key.data) for key in selector.get_map().values()}


def _open_sockets() -> Iterator[str]:
    """Those made since the process was looked at first: Ray's own are not Python's."""
    for found in gc.get_objects():
        if isinstance(found, socket.socket) and found.fileno() >= 0:
            yield f"open socket {found.fileno()}"


def _children() -> list[str]:
    """Children that still run."""
    found = []
    for path in _PROC.glob("task/*/children"):
        with suppress(OSError):
            found += [f"child {pid}" for pid in path.read_text().split()]
    return found
