"""A PostgreSQL of the tests' own, where the system has its programs."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
USER = "codetether"


def binaries() -> Path | None:
    """Where `initdb` and `postgres` are; None where they are not."""
    found = shutil.which("postgres")
    if found is not None:
        return Path(found).resolve().parent
    return _BINARIES[-1].parent if _BINARIES else None


class Postgres:
    """One server on a socket in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.password = secrets.token_hex(16)
        self._folder, self._data = folder, folder / "data"
        self._bin = binaries() or Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._as = _unprivileged()
        if self._as:
            os.chown(folder, self._as["user"], self._as["group"])
        word = folder / "word"
        word.write_text(self.password)
        word.chmod(0o644)
        self._run(
            "initdb", "--no-sync", "-A", "scram-sha-256", "-U", USER, "-E", "UTF8",
            "--locale=C.UTF-8", f"--pwfile={word}", "-D", str(self._data),
        )  # fmt: skip

    @property
    def url(self) -> str:
        """Without the password."""
        return f"postgresql://{USER}@/postgres?host={self._folder}"

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._bin / "postgres", "-D", self._data, "-k", self._folder,
                    "-c", "listen_addresses=", "-c", "shared_buffers=16MB",
                ],
                stdout=subprocess.DEVNULL,
                stderr=log,
                **self._as,
            )  # fmt: skip
        for _ in range(600):
            if self._run("pg_isready", "-h", str(self._folder), "-q", check=False) == 0:
                return
            time.sleep(0.05)
        raise TimeoutError((self._folder / "log").read_text())

    def kill(self) -> None:
        """End it as a power cut would; its children notice and end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        lock = self._data / "postmaster.pid"
        while lock.exists() and self._has_children():
            time.sleep(0.02)
        lock.unlink(missing_ok=True)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)

    def _has_children(self) -> bool:
        """Whether a process of the dead server holds its shared memory still."""
        mark = str(self._data)
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if str((entry / "cwd").readlink()) == mark:
                    return True
            except OSError:
                continue
        return False

    def _run(self, name: str, *arguments: str, check: bool = True) -> int:
        done = subprocess.run(
            [self._bin / name, *arguments], capture_output=True, check=False, **self._as
        )
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.returncode


@contextmanager
def a_postgres() -> Iterator[Postgres]:
    """A server, ended and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _unprivileged() -> dict[str, int]:
    """PostgreSQL does not run as root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid}
    return {}
