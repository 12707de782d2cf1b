"""A Ray of one's own: started for one command, in a directory of its own, ended with it."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from codetether_ray.actors import processes
from codetether_ray.actors.forkserver.switch import LAUNCHER, is_wanted
from codetether_ray.core.errors import ClusterError

_ROOTS = ("/tmp", "/var/tmp")
"""Short on purpose: a Unix socket's path has 107 bytes, and Ray uses some 70 of them."""
_OWNER = "owner"
_TOKEN = "token"

QUIET = MappingProxyType(
    {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SCHEDULER_EVENTS": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_USE_UVLOOP": "0",
        "RAY_memory_monitor_refresh_ms": "0",
    }
)
"""Variables for Ray's processes: no usage reports, no tips; tokens between its processes.

No memory monitor: of all processes it ends those first that Ray can start again, so supervisors
and the registry before the agent that took the memory. Admission keeps memory free, and commands
have limits of their own.

No uvloop: the child that it forks for a command takes Python's locks before it becomes that
command. Where a thread held one it hangs for ever, its parent with it, and keeps the run's lock.
"""

_AGENT_PORTS = (
    *("METRICS_AGENT_PORT_NAME", "METRICS_EXPORT_PORT_NAME"),
    "DASHBOARD_AGENT_LISTEN_PORT_NAME",
)

LEAN = MappingProxyType(
    {"enable_metrics_collection": False, "event_stats": False, "task_events_report_interval_ms": 0}
)
"""Settings for a Ray without a dashboard: nobody would read what these cost CPU to collect."""


def make_directory(roots: tuple[str, ...] = _ROOTS) -> Path:
    """A fresh directory for one Ray, with a token in it; what dead owners left is removed.

    Raises:
        ClusterError: it can be made in none of `roots`.
    """
    prefix = f"ct-{os.getuid()}-"
    _sweep(prefix, roots)
    path = _fresh(prefix, roots)
    me = processes.find(os.getpid())
    (path / _OWNER).write_text(f"{os.getpid()} {me.started if me else ''}")
    token = path / _TOKEN
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    return path


def token_path(directory: Path) -> Path:
    """Where a Ray's token is kept."""
    return directory / _TOKEN


def remove_directory(directory: Path, keep_logs: Path | None = None) -> None:
    """Remove a Ray's directory; its logs are moved to `keep_logs` if that is given."""
    if keep_logs is not None:
        for logs in directory.glob("session_2*/logs"):
            shutil.copytree(logs, keep_logs, dirs_exist_ok=True, ignore_dangling_symlinks=True)
    shutil.rmtree(directory, ignore_errors=True)


def _fresh(prefix: str, roots: tuple[str, ...]) -> Path:
    why = ""
    for root in roots:
        try:
            return Path(tempfile.mkdtemp(prefix=prefix, dir=root))
        except OSError as error:
            why = error.strerror or str(error)
    raise ClusterError(
        f"Ray needs a directory with a short path, and none can be made in {' or '.join(roots)} "
        f"({why}); `--local` runs all agents without Ray"
    )


def _sweep(prefix: str, roots: tuple[str, ...]) -> None:
    for path in (found for root in roots for found in Path(root).glob(f"{prefix}*")):
        try:
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            pid, _, started = (path / _OWNER).read_text().partition(" ")
            is_used = processes.Process(int(pid), started).is_alive
        except (OSError, ValueError):  # another one sweeps it, or its owner is just being written
            continue
        if not is_used:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def environment(extra: dict[str, str]) -> Iterator[None]:
    """Variables that Ray and the processes it starts see, and nobody after them."""
    before = {name: os.environ.get(name) for name in extra}
    os.environ.update(extra)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def quiet_driver(log_path: Path) -> Iterator[None]:
    """A process that connects to Ray inside prints no errors of Ray's C++ part on its stderr.

    They go there from a driver alone, and tell of what its callers are told as exceptions. The
    servers, which are started before, keep their logs as they are. That a level was set is itself
    printed; stderr is the log for that moment.
    """
    from ray._private import worker  # noqa: PLC0415 - Ray is imported when it is needed

    plain: Any = getattr(worker, "connect", None)
    if plain is None or "RAY_BACKEND_LOG_LEVEL" in os.environ:
        yield
        return

    def connect(*args: Any, **options: Any) -> Any:
        with environment({"RAY_BACKEND_LOG_LEVEL": "fatal"}), _stderr_to(log_path):
            return plain(*args, **options)

    worker.connect = connect
    try:
        yield
    finally:
        worker.connect = plain


@contextmanager
def _stderr_to(path: Path) -> Iterator[None]:
    kept = os.dup(2)
    try:
        with path.open("a") as file:
            os.dup2(file.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def lean_node() -> Iterator[None]:
    """Ray heads started inside have no autoscaler, log monitor and dashboard server.

    Each is a Python process that takes a second of CPU to start and 50-90 MB, for nothing on a
    single node that nobody watches. Ray has no option for it, so three methods of its node class
    are replaced (Ray's version is pinned); where they are missing all is started as usual.
    """
    from ray._private import node  # noqa: PLC0415 - Ray is imported when it is needed

    full: Any = node.Node
    wanted = ("start_monitor", "start_log_monitor", "start_api_server")
    if not all(hasattr(full, name) for name in wanted):
        yield
        return

    class LeanNode(full):
        def start_monitor(self) -> None:
            """None is needed: nothing scales."""

        def start_log_monitor(self) -> None:
            """None is needed: agents' output goes to files."""

        def start_api_server(self, **options: Any) -> None:
            self._webui_url = None

        def start_raylet(self, *arguments: Any, **options: Any) -> Any:
            _say_unused_ports(self)
            return super().start_raylet(*arguments, **options)

    node.Node = LeanNode
    try:
        yield
    finally:
        node.Node = full


def _say_unused_ports(node: Any) -> None:
    """Write that the dashboard's agent has no ports, as it does itself where it is installed alone.

    A raylet waits 15 s for that agent to write them, and ends where a busy machine takes longer.
    Nobody asks there where nobody watches.
    """
    from ray import _raylet  # noqa: PLC0415 - Ray is imported when it is needed

    core: Any = _raylet
    for name in _AGENT_PORTS:
        if hasattr(core, name):
            core.persist_port(node._session_dir, node._node_id, getattr(core, name), -1)


@contextmanager
def light_launchers() -> Iterator[None]:
    """Raylets started inside launch workers by a Python that imports next to nothing.

    It hands them to the fork server. Without this the hook that is installed beside this package
    does, at twice the cost of a launcher.
    """
    from ray._private import services  # noqa: PLC0415 - Ray is imported when it is needed

    plain: Any = getattr(services, "_site_flags", None)
    if plain is None or plain() or not is_wanted(os.environ):
        yield
        return
    services._site_flags = lambda: ["-I", "-S", LAUNCHER]
    try:
        yield
    finally:
        services._site_flags = plain
