"""The tool `bash`: a shell command in the workspace."""

from collections.abc import Callable

from pydantic import Field

from codetether_ray.core.errors import ToolError
from codetether_ray.core.events import ToolOutput
from codetether_ray.ports.sandbox import Completed
from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.files import existing

_LONGEST_S = 1800.0
_LIVE_CHARACTERS = 200_000  # of one command's output that are shown while it runs


class BashArgs(Arguments):
    """Run a shell command. It cannot ask questions; what it leaves running is ended with it."""

    command: str = Field(min_length=1)
    cwd: str = Field(default=".", description="Directory to run in")
    timeout: float = Field(default=120, gt=0, le=_LONGEST_S, description="Seconds")


async def bash(args: BashArgs, ctx: ToolContext) -> str:
    """The output, and the exit code where it is not 0."""
    directory = existing(ctx.root, args.cwd)
    if not directory.path.is_dir():
        raise ToolError(f"{directory.relative} is a file; cwd must be a directory")
    done = await ctx.sandbox.run(
        args.command,
        cwd=directory.path,
        env=dict(ctx.spec.env),
        timeout_s=args.timeout,
        on_output=_live(ctx),
    )
    return _report(done, args.timeout)


def _live(ctx: ToolContext) -> Callable[[str], None]:
    """Keeps output as it comes and publishes it, up to a limit; says when it stops doing so."""
    left = _LIVE_CHARACTERS

    def show(text: str) -> None:
        nonlocal left
        ctx.keep_output(text)
        if left <= 0:
            return
        shown, left = text[:left], left - len(text)
        if left <= 0:
            shown += "\n[more output; it is not shown live]\n"
        ctx.emit(ToolOutput(call_id=ctx.call_id, text=shown))

    return show


def _report(done: Completed, timeout_s: float) -> str:
    output = done.output.rstrip("\n")
    if done.timed_out:
        end = f"[stopped after {timeout_s:g} s; a larger timeout can be given]"
    elif done.exit_code < 0:
        end = f"[ended by signal {-done.exit_code}]"
    elif done.exit_code:
        end = f"[exit code {done.exit_code}]"
    else:
        return output or "(no output)"
    return f"{output}\n{end}" if output else end


TOOL = Tool("bash", BashArgs, bash, Effect.SHELL, timeout_s=_LONGEST_S + 60)
