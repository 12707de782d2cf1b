"""Commands of an agent within its run's trace: each is told the span of its tool call."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from codetether_ray.ports.sandbox import Completed, Sandbox

_VARIABLE = "TRACEPARENT"
"""As OpenTelemetry's SDKs and tools read it (W3C Trace Context in an environment variable)."""


class TracedSandbox:
    """A sandbox whose commands find `traceparent` in their environment."""

    def __init__(self, sandbox: Sandbox, traceparent: str) -> None:
        self._sandbox = sandbox
        self._traced = {_VARIABLE: traceparent}

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
        """See `Sandbox.run`."""
        return await self._sandbox.run(
            command,
            cwd=cwd,
            env={**(env or {}), **self._traced},
            timeout_s=timeout_s,
            stdin=stdin,
            max_output_bytes=max_output_bytes,
            on_output=on_output,
        )

    async def end_leftovers(self, run_id: str, agent: str) -> int:
        """See `Sandbox.end_leftovers`."""
        return await self._sandbox.end_leftovers(run_id, agent)
