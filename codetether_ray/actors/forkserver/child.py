"""What a fork of the server becomes: the worker that Ray launched, as if it had been started."""

import ast
import atexit
import os
import random
import signal
import socket
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import NoReturn

from codetether_ray.actors.forkserver import protocol


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as its launcher described it."""

    arguments: list[str]
    """Its script first."""
    environ: dict[bytes, bytes]
    cwd: str


@dataclass(frozen=True, slots=True)
class Script:
    """Ray's worker script: what it defines is there already, what it does is still to be done."""

    main: ModuleType
    rest: CodeType

    @classmethod
    def prepare(cls, path: str) -> "Script":
        """Run its definitions (a parser of thirty options), but for its last block."""
        tree = ast.parse(Path(path).read_bytes(), path)
        *before, last = tree.body
        main = ModuleType("__main__")
        main.__dict__.update(__file__=path, __builtins__=__builtins__)
        if isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'":
            exec(compile(ast.Module(before, []), path, "exec"), main.__dict__)
            tree = ast.Module([last], [])
        return cls(main, compile(tree, path, "exec"))

    def run(self) -> None:
        """Be that script; returns when it ends."""
        sys.modules["__main__"] = self.main
        exec(self.rest, self.main.__dict__)


def become(worker: Worker, script: Script, connection: socket.socket, fds: list[int]) -> NoReturn:
    """Be that worker, which runs `script`, once its launcher says so; ends the process."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        connection.sendall(protocol.TAKEN)
        if connection.recv(16) == protocol.GO:
            connection.close()
            _take_over(worker, fds)
            script.run()
            code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except OSError as error:  # its launcher gave up, most likely
        print(f"a forked worker did not start: {error}", file=sys.stderr)  # noqa: T201 - the log
    except BaseException:  # noqa: BLE001 - nothing may return into the server's loop
        traceback.print_exc()
    finally:
        _leave(code)


def _take_over(worker: Worker, fds: list[int]) -> None:
    os.setsid()
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    for name in os.environb.keys() - worker.environ.keys():
        del os.environb[name]
    for name, value in worker.environ.items():
        if os.environb.get(name) != value:
            os.environb[name] = value
    os.chdir(worker.cwd)
    sys.argv = list(worker.arguments)
    sys.orig_argv[1:] = worker.arguments
    random.seed()
    _reread_settings()


def _reread_settings() -> None:
    """Ray's core read its settings from the server's environment as it was imported."""
    from ray._raylet import Config  # type: ignore[attr-defined]  # noqa: PLC0415 - imported

    Config.initialize("")


def _leave(code: int) -> NoReturn:
    """End as an interpreter does, but for what its server would do at its own end."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
