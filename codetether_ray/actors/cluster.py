"""Joins a Ray cluster, or starts a private one and ends it."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray.actors import private, processes
from codetether_ray.actors.chatter import Chatter
from codetether_ray.actors.coming_up import patience
from codetether_ray.actors.forkserver.status import forget
from codetether_ray.actors.forkserver.switch import variables as forking
from codetether_ray.actors.head import announce_head, find_head, withdraw_head
from codetether_ray.actors.joining import (
    admission,
    demand_versions,
    own_raylet,
    to_join,
    worded,
)
from codetether_ray.actors.orphans import Watch
from codetether_ray.actors.probe import answers
from codetether_ray.actors.processes import Process
from codetether_ray.actors.sharing import Hold, Shares
from codetether_ray.core.errors import ClusterError

NAMESPACE = "codetether"
"""Where this project's named actors are found."""

_OBJECT_STORE_BYTES = 100_000_000  # messages are small; Ray's minimum is 75 MiB
_END_PATIENCE_S = 5.0
_LOOK_S = 1.0
_MISSES = 3
"""Looks in a row that find nobody: then a cluster is gone."""
_JOIN_PATIENCE_S = 60.0
"""Ray itself would try for longer, where what answers is no head, or asks for another token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """How to get a cluster."""

    data_dir: Path
    """Where a head of this user would be announced."""
    address: str = ""
    """What `RAY_ADDRESS` says; empty to look for this user's own head, or start one."""
    log_path: Path | None = None
    """A file for what Ray says; kept. None: lost with the cluster."""
    keep_logs: Path | None = None
    """A folder for the logs of a private Ray's processes; None: removed with it."""
    dashboard: bool = False
    cpus: int | None = None
    memory_bytes: int | None = None
    """What agents may reserve; None: what Ray finds (70 % of what is free)."""
    object_store_bytes: int = _OBJECT_STORE_BYTES
    must_match: bool = True
    """A cluster that is joined by its address must have this version of this program."""
    announce: bool = False
    """Let this user's other commands join, as long as this process lives."""


class Cluster:
    """A connection of this process to Ray. One per process at a time; see `sharing`."""

    def __init__(self, keeper: "_Keeper", hold: Hold | None = None) -> None:
        self._keeper = keeper
        self._hold = hold
        self.address: str = keeper.info["gcs_address"]
        self.is_private = keeper.directory is not None
        url = keeper.info.get("webui_url") or ""
        self.dashboard_url = f"http://{url}" if url else ""

    @property
    def is_alive(self) -> bool:
        """Whether the servers of a private Ray run; true of a cluster that was joined."""
        return all(server.is_alive for server in self._keeper.servers)

    async def gone(self) -> None:
        """Return once the cluster answers no more. Ray itself would end this process by then."""
        misses = 0
        while misses < _MISSES:
            await asyncio.sleep(_LOOK_S)
            is_there = self.is_alive and await asyncio.to_thread(answers, self.address)
            misses = 0 if is_there else misses + 1

    async def close(self) -> None:
        """Leave; a private Ray is ended with all its processes and its directory.

        A connection that is shared is left by the last one.
        """
        hold, self._hold = self._hold, None
        if hold is None or _shares is None:
            await self._keeper.end()
        else:
            await _shares.give_back(hold, self._keeper.end)


def _ignore(notice: str) -> None:
    """Nobody wants notices."""


async def join_or_start(
    options: ClusterOptions, on_notice: Callable[[str], None] = _ignore
) -> Cluster:
    """Join the cluster at `options.address`, or this user's own head, or start a private Ray.

    `on_notice` is given sentences that a person should read; it is called in this event loop.
    Takes seconds where a Ray must be started; cancelling ends what was begun.

    Raises:
        ClusterError: it cannot be joined or started; the sentence says why.
    """
    if _shares is None:
        return Cluster(await _connected(options, on_notice))
    hold = await _shares.take(_target(options), on_notice)
    if hold.connection is not None:
        return Cluster(hold.connection, hold)
    try:
        keeper = await _connected(options, on_notice)
    except BaseException:
        await asyncio.shield(_shares.give_back(hold))
        raise
    _shares.made(hold, keeper, is_private=keeper.directory is not None)
    return Cluster(keeper, hold)


_shares: Shares | None = None


@contextmanager
def sharing() -> Iterator[None]:
    """Several runs of this process use one connection: to a head at once, else one by one."""
    global _shares
    before, _shares = _shares, Shares()
    try:
        yield
    finally:
        _shares = before


def _target(options: ClusterOptions) -> str:
    """The address that would be joined; empty for a private Ray."""
    if options.address:
        return "" if options.address == "local" else options.address
    head = find_head(options.data_dir)
    return head.address if head is not None else ""


async def _connected(options: ClusterOptions, on_notice: Callable[[str], None]) -> "_Keeper":
    loop = asyncio.get_running_loop()

    def notice(sentence: str) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(on_notice, sentence)

    keeper = _Keeper(options, notice, loop)
    try:
        await keeper.begun()
    except BaseException:
        await asyncio.shield(keeper.end())
        raise
    return keeper


class _Keeper:
    """Holds the connection in a thread of its own.

    Ray's processes die with the thread that started them (that is how the kernel takes them
    along when this process is killed), so that thread lives until the cluster is closed. The
    event loop stays free while Ray starts, and Ray leaves the signal handlers alone.
    """

    def __init__(
        self,
        options: ClusterOptions,
        notice: Callable[[str], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.info: dict[str, Any] = {}
        self.directory: Path | None = None
        self.servers: tuple[Process, ...] = ()
        self._watch: Watch | None = None
        self._is_stuck = False
        self._options = options
        self._notice = notice
        self._loop = loop
        self._ready: asyncio.Future[None] = loop.create_future()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="ray-keeper", daemon=True)
        self._thread.start()

    async def begun(self) -> None:
        joins = self._options.address not in ("", "local")
        try:
            async with asyncio.timeout(_JOIN_PATIENCE_S if joins else None):
                await asyncio.shield(self._ready)
        except TimeoutError:
            self._is_stuck = True
            raise ClusterError(
                f"the Ray cluster at {self._options.address} did not let this program in within "
                f"{_JOIN_PATIENCE_S:.0f} s; is it of this user, with the same token?"
            ) from None

    async def end(self) -> None:
        self._stop.set()
        if not self._is_stuck:  # such a thread ends with the process
            await asyncio.to_thread(self._thread.join)

    def _keep(self) -> None:
        chatter: Chatter | None = None
        try:
            log_path, extra, arguments = self._prepare()
            with private.environment(extra):
                chatter = Chatter(log_path, self._notice)
                chatter.install()
                self.info = _init(
                    arguments, log_path, lean="_temp_dir" in arguments and not _wants(arguments)
                )
            if self.directory is None and self._must_match:
                demand_versions(self.info["gcs_address"])
            if self.directory is not None:
                self._watch = Watch(_processes_of_ray(), self.directory)
                self.servers = _servers_of_ray()
                self._announce(self.directory)
            self._tell(None)
            self._stop.wait()
        except Exception as error:  # noqa: BLE001 - handed to who waits for the start
            self._tell(worded(error, self._options.address))
        finally:
            self._finish(chatter)

    @property
    def _must_match(self) -> bool:
        """One's own head, which is found without an address, has said its versions already."""
        return bool(self._options.address) and self._options.must_match

    def _announce(self, directory: Path) -> None:
        if self._options.announce:
            address, token = self.info["gcs_address"], private.token_path(directory)
            announce_head(self._options.data_dir, address=address, token=token)

    def _tell(self, error: ClusterError | None) -> None:
        def answer() -> None:
            if self._ready.done():
                return
            if error is None:
                self._ready.set_result(None)
            else:
                self._ready.set_exception(error)

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(answer)

    def _prepare(self) -> tuple[Path, dict[str, str], dict[str, Any]]:
        """A file for chatter, Ray's environment, and arguments of `ray.init`."""
        options = self._options
        found = (
            None if options.announce else to_join(options.address, options.data_dir, self._notice)
        )
        if found is not None:
            address, extra = found
            log_path = options.log_path or Path(os.devnull)
            return log_path, extra, {"address": address}
        self.directory = private.make_directory()
        arguments: dict[str, Any] = {
            "address": "local",
            "_temp_dir": str(self.directory),
            "include_dashboard": options.dashboard,
            "object_store_memory": options.object_store_bytes,
            "_system_config": {} if options.dashboard else dict(private.LEAN),
        }
        if options.cpus is not None:
            arguments["num_cpus"] = options.cpus
        if options.memory_bytes is not None:
            arguments["_memory"] = options.memory_bytes
        extra = {
            **private.QUIET,
            **forking(os.environ),
            "RAY_AUTH_TOKEN_PATH": str(private.token_path(self.directory)),
        }
        return options.log_path or self.directory / "driver.log", extra, arguments

    def _finish(self, chatter: Chatter | None) -> None:
        if self._options.announce:
            withdraw_head(self._options.data_dir)
        if "ray" in sys.modules:
            import ray  # noqa: PLC0415 - imported already

            ours = () if self.directory is None else _processes_of_ray()
            node = _node_of_ray()
            ray.shutdown(wait_for_processes=self.directory is not None)
            processes.end_all(ours, patience_s=_END_PATIENCE_S)
            if self.directory is not None:
                forget(node)
        if chatter is not None:
            chatter.uninstall()
        if self.directory is not None:
            private.remove_directory(self.directory, self._options.keep_logs)
        if self._watch is not None:
            self._watch.close()


def _init(arguments: dict[str, Any], log_path: Path, *, lean: bool) -> dict[str, Any]:
    import ray  # noqa: PLC0415 - takes a second, and must see the environment
    from ray._private import auto_init_hook  # noqa: PLC0415
    from ray._raylet import (  # type: ignore[attr-defined]  # noqa: PLC0415
        AuthenticationTokenLoader,
        Config,
    )

    auto_init_hook.enable_auto_connect = False  # a late call must not start another Ray
    if ray.is_initialized():
        raise ClusterError("this process is connected to a Ray cluster already")
    Config.initialize("")  # reads the environment again if Ray had been imported before
    AuthenticationTokenLoader.instance().reset_cache()  # an earlier Ray had another token
    arguments = {
        **arguments,
        "namespace": NAMESPACE,
        "log_to_driver": False,
        "configure_logging": False,
        "job_config": ray.job_config.JobConfig(default_actor_lifetime="non_detached"),
    }
    address = str(arguments["address"])
    arguments |= {} if address == "local" else own_raylet(address)
    with (
        nullcontext() if address == "local" else admission(address),
        private.light_launchers() if address == "local" else nullcontext(),
        patience() if address == "local" else nullcontext(),
        private.quiet_driver(log_path),
        private.lean_node() if lean else nullcontext(),
    ):
        return dict(_quietly(ray.init, arguments).address_info)


def _wants(arguments: dict[str, Any]) -> bool:
    return bool(arguments.get("include_dashboard"))


def _quietly(init: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """`ray.init`, which drops the log handlers it finds, with ours put back."""
    import logging  # noqa: PLC0415

    logger = logging.getLogger("ray")
    handlers = list(logger.handlers)

    class _Kept(list[logging.Handler]):
        def clear(self) -> None:
            """Stay."""

    logger.handlers = _Kept(handlers)
    try:
        return init(**arguments)
    finally:
        logger.handlers = handlers


def _servers_of_ray(names: tuple[str, ...] = ("gcs_server", "raylet")) -> tuple[Process, ...]:
    """The servers without which the Ray that this process started is none."""
    return tuple(
        found
        for name, pids in _started_by_ray().items()
        for pid in pids
        if name in names and (found := processes.find(pid)) is not None
    )


def _processes_of_ray() -> tuple[Process, ...]:
    """What the processes of the Ray that this process started have started, before they end."""
    return tuple(
        found
        for pids in _started_by_ray().values()
        for pid in pids
        for found in processes.descendants(pid)
    )


def _node_of_ray() -> str:
    """The id of the node that the Ray of this process started; empty if it did not."""
    from ray._private import worker  # noqa: PLC0415

    return str(getattr(getattr(worker, "_global_node", None), "node_id", ""))


def _started_by_ray() -> dict[str, list[int]]:
    """Pids of this process's own Ray, by the names that Ray gives its processes."""
    from ray._private import worker  # noqa: PLC0415

    node = getattr(worker, "_global_node", None)
    started = getattr(node, "all_processes", None) or {}
    return {name: [info.process.pid for info in infos] for name, infos in started.items()}
