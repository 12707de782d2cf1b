"""Looks for a pattern in an output, in a process that can be ended: some patterns take for ever."""

import json
import sys
from pathlib import Path

from codetether_ray.ports.sandbox import Sandbox

_TIMEOUT_S = 20.0
_FIND = """
import json, re, sys
text = sys.stdin.buffer.read().decode("utf-8", "replace")
last = None
for last in re.finditer(sys.argv[1], text, re.MULTILINE):
    pass
print(json.dumps([] if last is None else [last.group(1)]))
"""


async def last_group(sandbox: Sandbox, pattern: str, output: str, cwd: Path) -> list[str | None]:
    """The first group of the last match; empty without a match.

    Raises:
        ValueError: it took too long.
        ToolError: the process could not be started.
    """
    done = await sandbox.run(
        [sys.executable, "-I", "-S", "-c", _FIND, pattern],
        cwd=cwd,
        timeout_s=_TIMEOUT_S,
        stdin=output.encode("utf-8", "replace"),
    )
    if done.timed_out:
        raise ValueError(f"looking for {pattern!r} took over {_TIMEOUT_S:g} s")
    try:
        found: list[str | None] = json.loads(done.output)
    except ValueError:
        raise ValueError(f"looking for {pattern!r} failed: {done.output[-200:]}") from None
    return found
