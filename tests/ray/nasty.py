"""A wiring whose agents leave behind all that an agent can, and what a process looks like."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codetether_ray.agent.parts import AgentLinks, AgentParts
from codetether_ray.bootstrap.agents import build_parts
from codetether_ray.core.spec import AgentSpec
from codetether_ray.local.capacity import machine_capacity

WIRING = f"{__name__}:build"
_kept: list[Any] = []


async def build(spec: AgentSpec, links: AgentLinks) -> AgentParts:
    """The default wiring; the agent's name says what else it does to its process."""
    deed = DEEDS.get(spec.name)
    if deed is not None:
        deed()
    return await build_parts(spec, links)


async def close_process() -> None:
    """What the default wiring shares is closed as ever."""
    from codetether_ray.bootstrap.agents import close_process as close

    await close()


def variables() -> None:
    os.environ["PATH"] = "/nowhere"
    os.environ["NASTY"] = "yes"
    del os.environ["HOME"]


def directory() -> None:
    os.chdir("/")
    os.umask(0)


def module_path() -> None:
    sys.path.insert(0, "/nowhere")


def data_of_modules() -> None:
    """Data of a module of ours: a value, and what stands in a dictionary."""
    from codetether_ray.bootstrap import agents

    agents._secrets["nasty", "", ""] = None
    machine_capacity.__globals__["_KIB"] = 7


def new_name_in_a_module() -> None:
    machine_capacity.__globals__["nasty"] = 1


def temporary_files() -> None:
    tempfile.mkdtemp(prefix="nasty")
    Path(tempfile.gettempdir(), "nasty-file").write_text("left")


def task() -> None:
    _kept.append(asyncio.create_task(asyncio.sleep(3600), name="nasty"))


def stubborn_task() -> None:
    async def stay() -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue

    _kept.append(asyncio.create_task(stay(), name="nasty"))


def thread() -> None:
    threading.Thread(target=time.sleep, args=(3600,), name="nasty", daemon=True).start()


def pool_thread() -> None:
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)


def timer() -> None:
    asyncio.get_running_loop().call_later(3600, print)


def open_file() -> None:
    _kept.append(os.open("/etc/hostname", os.O_RDONLY))


def open_socket() -> None:
    _kept.append(socket.socket())


def child() -> None:
    _kept.append(subprocess.Popen(["sleep", "3600"], start_new_session=True))


def patched_function() -> None:
    machine_capacity.__globals__["_machine_memory"] = lambda proc: (0, 0)


def patched_code() -> None:
    machine_capacity.__code__ = (lambda proc=None, cgroup=None: None).__code__


def patched_library() -> None:
    json_dumps = __import__("json").dumps
    __import__("json").dumps = lambda *a, **k: json_dumps(*a, **k)


def handler() -> None:
    sys.excepthook = print


def tracing() -> None:
    sys.setprofile(lambda *_: None)


RESTORED: dict[str, Callable[[], None]] = {
    f.__name__: f
    for f in (variables, directory, module_path, data_of_modules, temporary_files, task)
}
"""After these a process is put back as it was."""
MARKED: dict[str, Callable[[], None]] = {
    f.__name__: f
    for f in (
        new_name_in_a_module,
        stubborn_task,
        thread,
        pool_thread,
        timer,
        open_file,
        open_socket,
        child,
        patched_function,
        patched_code,
        patched_library,
        handler,
        tracing,
    )
}
"""After these it is ended."""
DEEDS = {**RESTORED, **MARKED}


def look(_: object = None) -> dict[str, Any]:
    """What an agent would find in this process. Called in the actor."""
    return {
        "environ": dict(os.environ),
        "cwd": str(Path.cwd()),
        "umask": [x for x in Path("/proc/self/status").read_text().splitlines() if "Umask" in x],
        "path": list(sys.path),
        "threads": sorted(t.name for t in threading.enumerate() if "nasty" in t.name),
        "temporary": sorted(
            p.name for p in Path(tempfile.gettempdir()).iterdir() if "nasty" in p.name
        ),
        "handlers": [_named(signal.getsignal(s)) for s in signal.valid_signals()],
        "excepthook": _named(sys.excepthook),
        "data": (machine_capacity.__globals__["_KIB"], _secrets()),
    }


def _named(handler: object) -> str:
    """What it is, in any process: not where."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(handler))


def _secrets() -> list[str]:
    from codetether_ray.bootstrap import agents

    return sorted(map(str, agents._secrets))


def block() -> None:
    """Keep the event loop, for ever; once."""
    mark = Path(os.environ["TMPDIR"], "blocked")
    if not mark.exists():
        mark.touch()
        while True:
            time.sleep(0.1)


DEEDS["block"] = block
