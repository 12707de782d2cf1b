"""Runs the gates on the clean tree: all of them, in order, each within its time."""

from collections.abc import Mapping
from dataclasses import replace

from codetether_ray.core.events import GateRun, ToolOutput
from codetether_ray.ports.workspace import Tree
from codetether_ray.ralph.place import Place
from codetether_ray.ralph.prd import Story
from codetether_ray.ralph.progress import tail

_OUTPUT_BYTES = 400_000  # of a gate, before its end is kept
_KEPT_CHARS = 16_000
_LONGEST_LINE = 100_000


async def run_gates(
    place: Place, story: Story, attempt: int, commit: str, known: Mapping[str, GateRun]
) -> tuple[GateRun, ...]:
    """Every gate on a commit; `known` were run on it before the run was resumed.

    A gate that fails does not keep the next from being run.

    Raises:
        WorkspaceError: the tree cannot be had.
        ToolError: no command can be started.
    """
    commands = place.prd.quality_checks.commands
    kept = {
        gate: known[gate]
        for gate, command in commands
        if gate in known and (known[gate].commit, known[gate].command) == (commit, command)
    }
    done: list[GateRun] = []
    tree: Tree | None = None
    for gate, command in commands:
        if gate in kept:
            done.append(kept[gate])
            continue
        if tree is None:
            tree = await place.trunk.checkout(commit)
        run = await _run(place, story, tree, GateRun(
            story=story.id, attempt=attempt, gate=gate, command=command, commit=commit, exit_code=0
        ))  # fmt: skip
        await place.tell(run)
        done.append(run)
    return tuple(done)


async def _run(place: Place, story: Story, tree: Tree, gate: GateRun) -> GateRun:
    shown = _Shown(place, f"gate:{story.id}:{gate.gate}")
    shown.say(f"$ {gate.command}\n")
    began = place.clock.monotonic()
    ended = await place.sandbox.run(
        gate.command,
        cwd=tree.path,
        env=tree.env,
        timeout_s=place.options.gate_timeout_s,
        max_output_bytes=_OUTPUT_BYTES,
        on_output=shown.say,
    )
    shown.end()
    return replace(
        gate,
        exit_code=ended.exit_code,
        timed_out=ended.timed_out,
        elapsed_ms=round((place.clock.monotonic() - began) * 1000),
        output=tail(place.mask(ended.output), _KEPT_CHARS),
    )


class _Shown:
    """What a gate prints, as it prints it: whole lines, for a secret must not be cut in two."""

    def __init__(self, place: Place, call: str) -> None:
        self._place = place
        self._call = call
        self._rest = ""

    def say(self, text: str) -> None:
        """Show the lines that are complete by now."""
        whole, end, rest = (self._rest + text).rpartition("\n")
        self._rest = rest
        if len(rest) > _LONGEST_LINE:
            whole, end, self._rest = whole + end + rest, "", ""
        if whole or end:
            words = self._place.mask(whole + end)
            self._place.publisher.emit(ToolOutput(call_id=self._call, text=words))

    def end(self) -> None:
        """Show what has no line end."""
        self.say("\n" if self._rest else "")
