"""The parent of one tool process: a script of its own, which ends all that the tool started.

It is the child subreaper of everything below it, so a process that called `setsid`, or whose
parents are gone, is still its descendant. It ends them all when the command ends, when its agent
asks (by closing the control socket) and when its agent dies (the kernel closes it then).

Called as `main([FD, MEMORY, SCOPE, PROGRAM, ARG …])` in a bare interpreter: FD is a socket to the
agent, MEMORY the limit of each process' data in bytes, 0 for none, SCOPE the directory of a control
group that the command enters, empty for none. It writes `started PID` and
`exit CODE LEFT` to FD: a negative code is a signal, LEFT counts processes that the command left
running. It imports nothing that takes long, because it starts with every command.
"""

import _signal as signals  # type: ignore[import-not-found]  # `signal` takes 2 ms: it makes enums
import os
import time

_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_SET_PDEATHSIG = 1
_DATA_LIMIT = 2  # RLIMIT_DATA
_WATCH_MS = 1000  # how often to look for a new parent, should someone else hold the socket open
_GRACE_S = 0.5  # between SIGTERM and SIGKILL
_GIVE_UP_S = 5.0  # for processes that the kernel does not let die
_EXPENDABLE = b"1000"  # short of memory, the kernel kills tools before agents


def _prctl(option: int, value: int) -> None:
    try:
        import _ctypes  # noqa: PLC0415 - half the start-up time of ctypes, and absent in some builds

        function = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]
        _ctypes.call_function(function, (option, value, 0, 0, 0))
    except (ImportError, AttributeError, OSError):
        import ctypes  # noqa: PLC0415

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _become(program: list[str], memory_bytes: int, scope: str) -> None:
    """Turn this fresh child into the program."""
    os.setsid()
    if scope:
        _write_file(f"{scope}/cgroup.procs", b"0")
    _prctl(_SET_PDEATHSIG, signals.SIGKILL)
    for number in (signals.SIGPIPE, signals.SIGINT, signals.SIGTERM, signals.SIGHUP):
        signals.signal(number, signals.SIG_DFL)
    _write_file("/proc/self/oom_score_adj", _EXPENDABLE)
    import resource  # noqa: PLC0415 - after the fork: the reaper itself does not need it

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    try:
        os.execvp(program[0], program)
    except OSError as error:
        os.write(2, f"cannot run {program[0]}: {error.strerror}\n".encode())
    os._exit(127)


def _write_file(path: str, data: bytes) -> None:
    try:
        file = os.open(path, os.O_WRONLY)
    except OSError:
        return
    try:
        os.write(file, data)
    except OSError:
        return
    finally:
        os.close(file)


def _read_file(path: str) -> str:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return os.read(file, 1 << 16).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(file)


def _families() -> dict[int, list[int]]:
    """The children of each live process."""
    families: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib takes longer to import than all of this
        if not name.isdigit():
            continue
        stat = _read_file(f"/proc/{name}/stat").rpartition(")")[2].split()
        if len(stat) > 1 and stat[0] != "Z":
            families.setdefault(int(stat[1]), []).append(int(name))
    return families


def _descendants() -> list[int]:
    families = _families()
    found, ahead = [], [os.getpid()]
    while ahead:
        children = families.get(ahead.pop(), [])
        found += children
        ahead += children
    return found


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _bury() -> dict[int, int]:
    """Take away the dead: process id to exit code."""
    codes: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return codes
        if pid == 0:
            return codes
        codes[pid] = os.waitstatus_to_exitcode(status)


def _end_all(grace_s: float) -> tuple[int, dict[int, int]]:
    """End every descendant; how many there were, and their exit codes."""
    codes = _bury()
    if not _has_children():
        return 0, codes
    first = _descendants()
    living, began, pause_s = first, time.monotonic(), 0.001
    _send(first, signals.SIGTERM)
    while living and time.monotonic() - began < grace_s + _GIVE_UP_S:
        if time.monotonic() - began >= grace_s:
            _send(living, signals.SIGKILL)
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.05)
        codes.update(_bury())
        living = _descendants() if _has_children() else []
    return len(first), codes


def _send(pids: list[int], signal: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal)
            os.kill(pid, signals.SIGCONT)
        except OSError:
            continue


def _watch(control: int, child: int, parent: int) -> int | None:
    """Wait until the child ends (its exit code) or the agent asks for the end or dies (None)."""
    import select  # noqa: PLC0415 - after the fork: the command does not wait for it

    poll = select.poll()
    poll.register(control, select.POLLIN | select.POLLHUP)
    pause_ms = _WATCH_MS
    try:
        poll.register(os.pidfd_open(child), select.POLLIN)
    except (OSError, AttributeError):
        pause_ms = 10  # an old kernel: look often instead
    while True:
        ready = poll.poll(pause_ms)
        codes = _bury()
        if child in codes:
            return codes[child]
        if any(file == control for file, _ in ready) or os.getppid() != parent:
            return None


def main(arguments: list[str]) -> None:
    """Run one command and end all that it started."""
    control, memory_bytes = int(arguments[0]), int(arguments[1])
    scope, program = arguments[2], arguments[3:]
    parent = os.getppid()
    os.set_inheritable(control, False)
    for number in (signals.SIGINT, signals.SIGTERM, signals.SIGHUP):
        signals.signal(number, signals.SIG_IGN)
    _prctl(_SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child == 0:
        _become(program, memory_bytes, scope)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    _say(control, f"started {child}\n")
    code = _watch(control, child, parent)
    left, codes = _end_all(_GRACE_S)
    _say(control, f"exit {codes.get(child, -9) if code is None else code} {left}\n")
    os._exit(0)


def _say(control: int, line: str) -> None:
    try:
        os.write(control, line.encode())
    except OSError:  # the agent is gone
        return
