"""Failures told apart: two that are alike have the same digest."""

import hashlib
import re
from collections.abc import Sequence

from codetether_ray.core.ralph_events import GateRun
from codetether_ray.ralph.progress import tail

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PATHS = re.compile(r"(?:/[\w.@+-]+)+/")
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-f]{7,64}\b|\d+(?:[.,:]\d+)*")
_OUTPUT_CHARS = 6_000
"""Of one gate's output in a prompt."""


def normal(text: str) -> str:
    """Output without what varies from run to run: colours, directories, numbers, hashes, spaces."""
    plain = _PATHS.sub("/", _ESCAPES.sub("", text))
    return " ".join(_NUMBERS.sub("0", plain).split())


def digest(cause: str, *texts: str) -> str:
    """16 hex digits of what a failure is, whenever it happens."""
    body = "\n".join((cause, *(normal(text) for text in texts)))
    return hashlib.sha256(body.encode("utf-8", "replace")).hexdigest()[:16]


def gates_digest(runs: Sequence[GateRun]) -> str:
    """The digest of failed gates: which ones, how they ended, what they said."""
    failed = [run for run in runs if not run.passed]
    return digest("gates", *(f"{r.gate} {_ending(r)} {r.output}" for r in failed))


def gates_report(runs: Sequence[GateRun]) -> str:
    """The exact output of failed gates, for whoever tries again."""
    parts = []
    for run in runs:
        if run.passed:
            continue
        said = tail(run.output.rstrip(), _OUTPUT_CHARS) or "(it printed nothing)"
        parts.append(f"Gate {run.gate} (`{run.command}`) {_ending(run)}:\n```\n{said}\n```")
    passed = [run.gate for run in runs if run.passed]
    if passed:
        parts.append(f"Passed: {', '.join(passed)}.")
    return "\n\n".join(parts)


def _ending(run: GateRun) -> str:
    return "did not end in time" if run.timed_out else f"ended with exit status {run.exit_code}"
