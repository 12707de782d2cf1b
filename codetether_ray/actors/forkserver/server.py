"""The fork server of one raylet: imports everything once, then forks a worker for each request.

It has one thread and no event loop, so that a fork is whole. It ends with its raylet, when nobody
asked for long, and when its code has changed on disk.
"""

import marshal
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import unpack

from codetether_ray.actors.forkserver import heap, preload, protocol
from codetether_ray.actors.forkserver.child import Script, Worker, become

_IDLE_S = 900.0
"""It holds some 100 MB, and the next worker waits a second for its successor."""
_IDLE_VARIABLE = "CODETETHER_FORK_SERVER_IDLE_S"
_READ_PATIENCE_S = 5.0
_BACKLOG = 1024
_FRESH_S = 1.0
"""How long its code is believed to be as it was."""
_FAREWELL_S = 3.0
_LOOK_S = 0.1
_TITLE = "ray::fork_server"
"""As `ray stop` looks for."""


class _RefusedError(Exception):
    """A request that cannot be granted; why."""


@dataclass(slots=True)
class _Tally:
    """What was done, for tests and benchmarks."""

    forked: int = 0
    launchers_cpu_ns: int = 0


class Server:
    """Listens at `base`.sock and forks for who may ask, until `raylet` (a pidfd) ends."""

    def __init__(self, base: str, raylet: int, lock: int, arguments: list[str]) -> None:
        self._path = Path(f"{base}.sock")
        self._raylet = raylet
        self._lock = lock
        self._arguments = arguments
        self._environ = _without_own(dict(os.environb))
        self._tally = _Tally()
        self._code = preload.Code({})
        self._script: Script | None = None
        self._idle_s = float(os.environ.get(_IDLE_VARIABLE) or _IDLE_S)
        self._listener = self._listen()

    def serve(self) -> None:
        """Import everything, then fork, until there is a reason to end."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
        self._code = preload.load()
        self._script = Script.prepare(self._arguments[0])
        _set_title()
        heap.settle()
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._raylet, selectors.EVENT_READ)
            is_raylet_gone = self._loop(selector)
        self.close()
        if is_raylet_gone:
            _end_children()

    def close(self) -> None:
        """Take the socket away; who waits in its queue is told that nobody is there."""
        self._path.unlink(missing_ok=True)
        self._listener.close()

    def _loop(self, selector: selectors.BaseSelector) -> bool:
        """Fork for who asks. Returns whether it is over because the raylet has ended."""
        while True:
            ready = {key.fd for key, _ in selector.select(self._idle_s)}
            if not ready or self._raylet in ready:
                return bool(ready)
            with suppress(OSError), self._listener.accept()[0] as connection:
                if not self._answer(connection):
                    return False

    def _answer(self, connection: socket.socket) -> bool:
        """Serve one launcher. False where this server is to end."""
        connection.settimeout(_READ_PATIENCE_S)
        data, fds, _, _ = socket.recv_fds(connection, protocol.MOST_BYTES, 3)
        try:
            _check_peer(connection)
            if data == protocol.STATUS:
                connection.sendall(self._status())
                return True
            worker = self._worker(data)
            if self._code.has_changed(_FRESH_S):
                connection.sendall(protocol.STALE)
                return False
            self._fork(connection, worker, fds)
        except _RefusedError as error:
            connection.sendall(protocol.NO + str(error).encode())
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def _worker(self, data: bytes) -> Worker:
        """What a request asks for.

        Raises:
            _RefusedError: a process forked from this one could not be it.
        """
        version, executable, python, *rest = marshal.loads(data)
        if (version, executable, python) != (protocol.VERSION, sys.executable, sys.hexversion):
            raise _RefusedError("it has another Python, or another version of this program")
        arguments, environ, cwd, cpu_ns = rest
        if arguments[0] != self._arguments[0]:
            raise _RefusedError("it has another Ray")
        different = self._environ.items() ^ _without_own(environ).items()
        if different:
            names = sorted({name.decode(errors="replace") for name, _ in different})
            raise _RefusedError(f"its environment differs in {', '.join(names)}")
        self._tally.launchers_cpu_ns += cpu_ns
        return Worker(arguments, environ, cwd)

    def _fork(self, connection: socket.socket, worker: Worker, fds: list[int]) -> None:
        script = self._script
        if script is None or len(fds) != 3:
            raise _RefusedError("it did not send its three descriptors")
        self._tally.forked += 1
        if os.fork() == 0:
            self._listener.close()
            os.close(self._raylet)
            os.close(self._lock)  # it would keep a successor of the server from starting
            become(worker, script, connection, fds)

    def _status(self) -> bytes:
        tally = self._tally
        used = (os.getpid(), tally.forked, tally.launchers_cpu_ns, time.process_time_ns())
        return " ".join(map(str, used)).encode()

    def _listen(self) -> socket.socket:
        """Who asks while this process imports waits in the queue."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(self._path))
        listener.listen(_BACKLOG)
        return listener


def main() -> None:
    """Serve the raylet whose worker started this process.

    Arguments: where its files are, the descriptor of its lock (held until the end), the arguments
    of that worker.
    """
    base, lock, *arguments = sys.argv[1:]
    with suppress(PermissionError):
        os.setsid()
    if sys.path[0] in sys.path[1:]:  # a worker finds its script's folder there
        sys.path[0] = str(Path(arguments[0]).parent)
    try:
        raylet = os.pidfd_open(int(os.environ["RAY_RAYLET_PID"]))
    except ProcessLookupError:
        return
    _sweep(Path(base))
    server = Server(base, raylet, int(lock), arguments)
    unfit = preload.unfit()
    try:
        if unfit:
            Path(f"{base}.off").write_text(unfit, encoding="utf-8")
            print(f"the fork server is off: {unfit}", file=sys.stderr)  # noqa: T201 - its log
        else:
            server.serve()
    finally:
        server.close()


def _end_children() -> None:
    """End workers that have not noticed: their raylet may be a zombie, which to Ray is alive."""
    deadline = time.monotonic() + _FAREWELL_S
    while (children := _children()) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _children() -> list[int]:
    try:
        return [int(pid) for pid in Path("/proc/thread-self/children").read_text().split()]
    except OSError:  # a kernel without it
        return []


def _without_own(environ: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {name: value for name, value in environ.items() if name not in protocol.OF_NO_JOB}


def _check_peer(connection: socket.socket) -> None:
    """Its user is ours, and its processes are those that we see (no other container's)."""
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, uid, _ = unpack("3i", peer)
    if uid != os.getuid() or pid == 0:
        raise _RefusedError("it is another user's, or another container's")


def _set_title() -> None:
    from ray._raylet import setproctitle  # type: ignore[attr-defined]  # noqa: PLC0415

    setproctitle(_TITLE)


def _sweep(base: Path) -> None:
    """Remove what servers of earlier days left: their sockets answer to nobody."""
    old = time.time() - 86_400
    for path in base.parent.iterdir():
        with suppress(OSError):
            is_over = path.suffix != ".sock" and not path.with_suffix(".sock").exists()
            if is_over and path.stat().st_mtime < old:
                path.unlink()
