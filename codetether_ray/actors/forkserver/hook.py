"""Runs at the start of each Python that Ray launches as a worker: has the fork server make it.

It imports built-in modules alone, since most of a launcher's cost is what it imports. It returns
where the worker must start as Ray meant it to; else the process ends here, its worker forked.
"""

import posix
import sys
import time

from codetether_ray.actors.forkserver import protocol

_PATIENCE_S = 45.0
"""For a server that imports (a second of CPU, on a busy machine), or has many to fork."""
_LISTEN_PATIENCE_S = 10.0
"""For a server that starts: it listens before it imports."""
_PAUSE_S = 0.01
_STARTS = 2
"""How often one launcher starts a server: another may be ending as it is asked."""
_WORKER = "/default_worker.py"
_PEER_BYTES = 12


class _NobodyError(Exception):
    """No server is there."""


class _RefusedError(Exception):
    """It will not, or cannot; the sentence says why."""


def run() -> None:
    """Hand this worker over and end, if there is one and it may be; never raises."""
    arguments = sys.orig_argv[1:]
    while arguments and not arguments[0].endswith(_WORKER):
        del arguments[0]
    if not _may_be_forked(arguments):
        return
    try:
        _hand_over(arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is, the worker starts
        _tell(arguments, f"{type(error).__name__}: {error}")
        return
    posix._exit(0)


def _may_be_forked(arguments: list[str]) -> bool:
    """Whether this is a worker, without a runtime environment of its own, and it is wanted."""
    return (
        sys.platform == "linux"
        and posix.environ.get(protocol.SWITCH.encode(), b"0") != b"0"
        and bool(protocol.option(arguments, "worker-id"))
        and bool(protocol.option(arguments, "node-id"))
        and protocol.option(arguments, "runtime-env-hash") in ("", "0")
    )


def _hand_over(arguments: list[str]) -> None:
    base = protocol.base_path(protocol.option(arguments, "node-id"))
    starts, deadline = 0, time.monotonic() + _LISTEN_PATIENCE_S
    while time.monotonic() < deadline:
        try:
            return _ask(base, arguments)
        except _NobodyError:
            if _is_off(base):
                raise _RefusedError("it could not be started before") from None
        if _start(base, arguments):
            starts += 1
        if starts > _STARTS:
            _switch_off(base)
            raise _RefusedError("it ends as it starts")
        time.sleep(_PAUSE_S)
    raise _RefusedError(f"none listens after {_LISTEN_PATIENCE_S:.0f} s")


def _ask(base: str, arguments: list[str]) -> None:
    import _socket  # noqa: PLC0415 - the light half of `socket`

    with_server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    try:
        try:
            with_server.connect(f"{base}.sock")
        except (FileNotFoundError, ConnectionRefusedError):
            raise _NobodyError from None
        peer = with_server.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _PEER_BYTES)
        if int.from_bytes(peer[4:8], sys.byteorder) != posix.getuid():
            raise _RefusedError("its socket is another user's")
        with_server.settimeout(_PATIENCE_S)
        request = _request(arguments)
        fds = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2))
        with_server.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, 2 * len(request))
        try:
            with_server.sendmsg([request], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds)])
            answer = with_server.recv(1024)
            if answer == protocol.TAKEN:
                with_server.sendall(protocol.GO)
                return
        except (BrokenPipeError, ConnectionResetError):
            raise _NobodyError from None  # it ended while we were in its queue
        if answer in (b"", protocol.STALE):
            raise _NobodyError
        raise _RefusedError(answer.removeprefix(protocol.NO).decode(errors="replace"))
    finally:
        with_server.close()


def _request(arguments: list[str]) -> bytes:
    import marshal  # noqa: PLC0415 - built in; the same Python is at both ends

    request: protocol.Request = (
        protocol.VERSION,
        sys.executable,
        sys.hexversion,
        arguments,
        dict(posix.environ),
        posix.getcwd(),
        time.process_time_ns(),
    )
    data = marshal.dumps(request)
    if len(data) > protocol.MOST_BYTES:
        raise _RefusedError(f"its environment is too large ({len(data)} bytes)")
    return data


def _start(base: str, arguments: list[str]) -> bool:
    """Start a server, unless another launcher did: who holds the lock, which a server inherits."""
    import fcntl  # noqa: PLC0415 - by one launcher in a hundred

    _make_directory()
    lock = posix.open(f"{base}.lock", posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if _is_off(base):
            return False
        _spawn(base, lock, arguments)
        return True
    finally:
        posix.close(lock)


def _spawn(base: str, lock: int, arguments: list[str]) -> None:
    """Start the server; it outlives this launcher.

    The worker's arguments follow its own: Ray writes titles of workers over them. It is of no job:
    Ray's core reads that variable once, at its import, and would count every worker that is forked
    later among the launcher's job, and end it at once where that job is over.
    """
    log = posix.open(
        protocol.log_path(arguments),
        posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC,
        0o600,
    )
    root = __file__.rpartition("/codetether_ray/")[0]
    code = (
        f"import sys; sys.path[0] = {root!r}; "
        "from codetether_ray.actors.forkserver.server import main; main()"
    )
    posix.set_inheritable(lock, True)
    posix.posix_spawn(
        sys.executable,
        [sys.executable, "-c", code, base, str(lock), *arguments],
        {**posix.environ, **protocol.OF_NO_JOB},
        file_actions=[
            (posix.POSIX_SPAWN_OPEN, 0, "/dev/null", posix.O_RDONLY, 0),
            (posix.POSIX_SPAWN_DUP2, log, 1),
            (posix.POSIX_SPAWN_DUP2, log, 2),
        ],
    )


def _make_directory() -> None:
    path = protocol.directory()
    try:  # noqa: SIM105 - without an import
        posix.mkdir(path, 0o700)
    except FileExistsError:
        pass
    found = posix.lstat(path)
    if found.st_uid != posix.getuid() or found.st_mode != 0o40700:
        raise _RefusedError(f"{path} is not a directory of this user alone (mode 0700)")


def _is_off(base: str) -> bool:
    try:
        posix.stat(f"{base}.off")
    except FileNotFoundError:
        return False
    return True


def _switch_off(base: str) -> None:
    """No more tries on this node: each would cost each worker seconds."""
    posix.close(posix.open(f"{base}.off", posix.O_WRONLY | posix.O_CREAT, 0o600))


def _tell(arguments: list[str], why: str) -> None:
    """One line in Ray's log directory for each reason; a worker never fails for it."""
    try:
        line = f"a worker was started without the fork server ({why})\n".encode()
        fd = posix.open(
            protocol.log_path(arguments), posix.O_RDWR | posix.O_CREAT | posix.O_APPEND, 0o600
        )
        if line not in posix.read(fd, protocol.MOST_BYTES):
            posix.write(fd, line)
        posix.close(fd)
    except OSError:
        pass
