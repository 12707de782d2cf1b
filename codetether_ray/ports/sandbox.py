"""Where tool processes run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A finished process. `exit_code` is negative for a signal; `output` is stdout and stderr.

    A long output is cut in the middle at a character boundary and says so; `total_bytes` is its
    true size.
    """

    exit_code: int
    output: str
    total_bytes: int = 0
    is_truncated: bool = False
    timed_out: bool = False


class Sandbox(Protocol):
    """Runs processes in their own group, and ends the group whatever happens."""

    async def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 120.0,
        stdin: bytes | None = None,
        max_output_bytes: int = 30_000,
        on_output: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run a shell command (a string) or a program (a sequence) and wait.

        The child sees an allow-list of this process's variables plus `env`. Its whole group is
        killed at the timeout, when the caller is cancelled, and when this process dies.
        """
        ...

    async def end_leftovers(self, run_id: str, agent: str) -> int:
        """End what a dead process of that agent left running on this host; how many there were."""
        ...
