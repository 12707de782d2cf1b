"""What a launcher and a fork server must agree on. Imports nothing but built-in modules.

Each raylet has one server, at a socket of the node's id in a directory that only its user may
enter. A launcher sends one request with its three standard descriptors; the forked child answers
`TAKEN`, and runs only once it reads `GO`: so a launcher that gave up never leaves two workers.
"""

import posix

VERSION = 1
"""Of this protocol."""
SWITCH = "CODETETHER_FORK_SERVER"
"""Environment variable: `1` lets workers be forked, `0` or none does not."""
TAKEN = b"taken"
GO = b"go"
NO = b"no: "
"""Starts a refusal; its reason follows."""
STALE = b"stale"
"""The server's code has changed on disk; it ends, and the next request starts another."""
STATUS = b"status"
"""Asked instead of a request: its pid, how many it forked, CPU (ns) of their launchers, its own."""
MOST_BYTES = 1 << 20
"""Of one message; a larger request is not sent."""
OF_NO_JOB = {b"RAY_JOB_ID": b"ffffffff"}
"""The variable by which Ray tells a worker its job, as it is for none (Ray's nil)."""
_NODE_CHARS = 28

Request = tuple[int, str, int, list[str], dict[bytes, bytes], str, int]
"""Protocol version, Python's path and version, arguments from the worker's script on, environment,
working directory, the launcher's CPU time (ns) so far."""


def directory() -> str:
    """Where the sockets of this user's servers are. Short: a socket's path has 107 bytes."""
    return f"/tmp/ct-fork-{posix.getuid()}"


def base_path(node: str) -> str:
    """A node's files, without their endings: `.sock`, `.lock`, and `.off` with a reason."""
    return f"{directory()}/{node[:_NODE_CHARS]}"


def option(arguments: list[str], name: str) -> str:
    """The value of `--name=value` among a worker's arguments; empty if there is none."""
    start = f"--{name}="
    return next((a[len(start) :] for a in arguments if a.startswith(start)), "")


def log_path(arguments: list[str]) -> str:
    """The servers' log, in the log directory of the worker's Ray session."""
    logs = f"{option(arguments, 'temp-dir')}/{option(arguments, 'session-name')}/logs"
    return f"{logs}/codetether_fork_server_{option(arguments, 'node-id')[:12]}.log"
