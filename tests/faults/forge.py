"""Runs `codetether` command lines, each in a process of its own, without a cold start each time.

A server that has imported the program and done nothing forks for each request on stdin, one JSON
object a line: `{"arguments", "env", "cwd", "out", "err"}`. It answers with the wait status.
"""

import json
import os
import signal
import sys
from typing import Any


def _child(order: dict[str, Any]) -> None:
    """Become the command; never returns."""
    os.setsid()
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    for number, name in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
        mode = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(name, mode, 0o600), number)
    signal.set_wakeup_fd(-1)
    code = 1
    try:
        from codetether_ray.cli.main import run

        code = run(order["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def main() -> None:
    import codetether_ray.bootstrap.session.home
    import codetether_ray.bootstrap.swarm.home
    import codetether_ray.cli.main
    import codetether_ray.cli.run
    import codetether_ray.cli.swarm  # noqa: F401 - all of it is wanted in memory

    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _child(order)
        print(json.dumps({"pid": pid, "code": _code(os.waitpid(pid, 0)[1])}), flush=True)


def _code(status: int) -> int:
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main()
