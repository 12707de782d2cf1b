"""A launcher hands its worker over, or lets it start as Ray meant; and what a server looks at."""

import marshal
import os
import posix
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from codetether_ray.actors.forkserver import hook, preload, protocol, switch
from codetether_ray.actors.forkserver.status import status_of

_WORKER = "/lib/ray/_private/workers/default_worker.py"
_NODE = "ab" * 28


SPAWN = hook._spawn


class Exited(BaseException):
    """The launcher's process ended."""


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This process is a launcher; the folder of its sockets."""

    def leave(code: int) -> None:
        raise Exited(code)

    (tmp_path / "s" / "logs").mkdir(parents=True)
    arguments = [
        _WORKER, f"--node-id={_NODE}", "--worker-id=77", f"--temp-dir={tmp_path}",
        "--session-name=s", "--runtime-env-hash=0",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", *arguments])
    monkeypatch.setattr(posix, "environ", {protocol.SWITCH.encode(): b"1", b"SHADE": b"green"})
    monkeypatch.setattr(posix, "_exit", leave)
    monkeypatch.setattr(hook, "_spawn", _cannot)
    with tempfile.TemporaryDirectory(prefix="ct-") as folder:  # a socket's path has to be short
        monkeypatch.setattr(protocol, "directory", lambda: folder)
        yield Path(folder)


def _cannot(*_: object) -> None:
    raise OSError("no process can be made")


@contextmanager
def server(answer: bytes) -> Iterator[list[tuple[bytes, int, bytes]]]:
    """One that gives this answer to whoever asks: the request, how many descriptors, the reply."""
    seen: list[tuple[bytes, int, bytes]] = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"{protocol.base_path(_NODE)}.sock")
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                data, fds, _, _ = socket.recv_fds(connection, protocol.MOST_BYTES, 9)
                connection.sendall(answer)
                seen.append((data, len(fds), connection.recv(99)))
                for fd in fds:
                    os.close(fd)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def log() -> str:
    path = Path(protocol.log_path(sys.orig_argv[2:]))
    return path.read_text() if path.exists() else ""


def test_a_worker_is_handed_over_with_all_that_it_was_started_with(launcher: Path) -> None:
    with server(protocol.TAKEN) as seen, pytest.raises(Exited):
        hook.run()
    ((data, fds, reply),) = seen
    assert (fds, reply) == (3, protocol.GO)
    version, executable, _, arguments, environ, cwd, cpu_ns = marshal.loads(data)
    assert (version, executable) == (protocol.VERSION, sys.executable)
    assert arguments == sys.orig_argv[2:]
    assert environ[b"SHADE"] == b"green"
    assert (cwd, cpu_ns > 0) == (str(Path.cwd()), True)


def test_a_worker_that_is_refused_starts_as_ray_meant_and_it_is_told_once(launcher: Path) -> None:
    with server(protocol.NO + b"it has another Ray") as seen:
        hook.run()
        hook.run()
    assert [reply for _, _, reply in seen] == [b"", b""]  # neither was told to go
    assert log().count("it has another Ray") == 1


def test_without_a_server_that_can_be_started_a_worker_starts_as_ray_meant(launcher: Path) -> None:
    hook.run()
    assert "no process can be made" in log()


def test_a_server_is_of_no_job_whichever_jobs_worker_starts_it(
    launcher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's core would keep that job for every worker that is forked later."""
    spawned: list[dict[bytes, bytes]] = []
    monkeypatch.setattr(hook, "_spawn", SPAWN)
    monkeypatch.setattr(posix, "posix_spawn", lambda _, __, env, **___: spawned.append(env))
    monkeypatch.setattr(hook, "_LISTEN_PATIENCE_S", 0.05)
    monkeypatch.setitem(posix.environ, b"RAY_JOB_ID", b"04000000")
    hook.run()
    assert {env[b"RAY_JOB_ID"] for env in spawned} == {b"ffffffff"}
    assert all(env[b"SHADE"] == b"green" for env in spawned)


def test_where_a_server_was_given_up_none_is_started_again(launcher: Path) -> None:
    Path(f"{protocol.base_path(_NODE)}.off").touch()
    hook.run()
    assert "could not be started before" in log()


def test_a_server_that_ends_as_it_starts_is_given_up(
    launcher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []
    monkeypatch.setattr(hook, "_spawn", lambda *_: starts.append(1))
    monkeypatch.setattr(hook, "_PAUSE_S", 0.0)
    hook.run()
    assert len(starts) == 3
    assert Path(f"{protocol.base_path(_NODE)}.off").exists()


def test_a_folder_that_others_may_enter_is_not_used(launcher: Path) -> None:
    launcher.chmod(0o755)
    hook.run()
    assert "not a directory of this user alone" in log()


@pytest.mark.parametrize(
    ("position", "argument"),
    [(2, "--runtime-env-hash=5"), (3, "--worker-id="), (4, "--node-id="), (1, "/other.py")],
)
def test_what_is_no_plain_worker_is_left_alone(
    launcher: Path, monkeypatch: pytest.MonkeyPatch, position: int, argument: str
) -> None:
    name = argument.partition("=")[0]
    others = [a for a in sys.orig_argv if not a.startswith(name)]
    if position == 1:
        others = [a for a in others if a != _WORKER]
    monkeypatch.setattr(sys, "orig_argv", [*others, argument])
    with server(protocol.TAKEN) as seen:
        hook.run()
    assert seen == []


def test_switched_off_it_asks_nobody(launcher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix, "environ", {protocol.SWITCH.encode(): b"0"})
    with server(protocol.TAKEN) as seen:
        hook.run()
    assert seen == []


def test_a_server_tells_how_it_stands(launcher: Path) -> None:
    assert status_of(_NODE) is None
    with server(b"12 3 4000000000 5000000000"):
        status = status_of(_NODE)
    assert status is not None
    assert (status.pid, status.forked, status.launchers_cpu_s, status.cpu_s) == (12, 3, 4.0, 5.0)


@pytest.mark.parametrize(
    ("said", "is_wanted"), [(None, True), ("1", True), ("0", False), ("off", False), ("No ", False)]
)
def test_rays_of_this_program_fork_their_workers_unless_it_is_said(
    said: str | None, is_wanted: bool
) -> None:
    environ = {} if said is None else {protocol.SWITCH: said}
    assert switch.variables(environ) == {protocol.SWITCH: "1" if is_wanted else "0"}


def test_a_ray_that_was_not_tried_is_unfit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert preload.unfit() == ""
    monkeypatch.setattr("importlib.metadata.version", lambda _: "9.9.9")
    assert "Ray 9.9.9" in preload.unfit()


def test_code_has_changed_once_a_file_of_it_was_written_or_is_gone(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    for path in (one, two):
        path.touch()
    seen = {path: path.stat().st_mtime_ns for path in (one, two)}
    assert not preload.Code(seen).has_changed(0.0)
    assert not preload.Code({**seen, one: 1}).has_changed(60.0)  # looked at a moment ago
    two.unlink()
    assert preload.Code(seen).has_changed(0.0)
