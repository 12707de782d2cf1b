"""`codetether ralph run`: a PRD worked off, story by story."""

import asyncio
from pathlib import Path
from typing import Any

import click

from codetether_ray.cli import options
from codetether_ray.cli.examples import examples
from codetether_ray.cli.options import Format

_COUNT = click.IntRange(min=1)


@click.command(
    "run",
    epilog=examples(
        "codetether ralph run",
        "codetether ralph run -p docs/prd.json --parallel 4 --budget 10",
        "codetether ralph run --max-iterations 30 --merge",
        "codetether ralph run --resume",
    ),
)
@click.option(
    "-p",
    "--prd",
    type=click.Path(path_type=Path),
    default="prd.json",
    show_default=True,
    help="The PRD's file, in which its state is saved.",
)
@click.option(
    "--max-iterations",
    type=_COUNT,
    metavar="N",
    help="Attempts that may be made, of all stories together.  [default: 10]",
)
@click.option(
    "--parallel", type=_COUNT, metavar="N", help="Stories at once.  [default: as many as fit]"
)
@click.option(
    "--gate-timeout",
    type=options.SPAN,
    metavar="TIME",
    help="How long one gate may run.  [default: 30m]",
)
@click.option(
    "--timeout",
    type=options.SPAN,
    metavar="TIME",
    help="How long one agent may work on a story.  [default: 30m]",
)
@click.option("--max-steps", type=_COUNT, metavar="N", help="Model calls of one attempt.")
@options.limits
@click.option("-y", "--yes", is_flag=True, help="Agree to every amendment that is proposed.")
@click.option("--merge", is_flag=True, help="Merge the finished feature into the current branch.")
@options.resume(
    "Go on with a run that stopped before its end: this one, or the newest here that did not "
    "finish."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "stream-json"]),
    default="text",
    show_default=True,
    help="text: a table; json: one object; stream-json: a line per event.",
)
@options.address
@click.option("--dashboard", is_flag=True, help="Start Ray's dashboard as well.")
@click.option("--local", "is_local", is_flag=True, help="Run all agents in this process, no Ray.")
def run(form: Format, as_json: bool, **given: Any) -> int:
    """Work a PRD off: each story by a fresh agent in a tree of its own, behind the PRD's gates.

    A story begins the moment its dependencies have passed. What passes its gates on the merged
    tree lands as one commit on the PRD's branch, and is marked in the PRD's file. Your branch and
    files stay as they are, unless --merge is given. Exit code 0 only where every story has passed.
    """
    return asyncio.run(_run("json" if as_json else form, given))


command = run


async def _run(form: Format, given: dict[str, Any]) -> int:
    from codetether_ray.bootstrap.ralph.run import run_ralph
    from codetether_ray.cli import unfinished
    from codetether_ray.cli.driven import DrivenRun
    from codetether_ray.cli.ralph_output import Amending, summary, table
    from codetether_ray.cli.ralph_view import RalphView
    from codetether_ray.cli.style import say

    if given["resume"] is None:
        unfinished.remind(Path.cwd())
    driven = DrivenRun(form, given["max_time"], RalphView())
    amending = Amending(driven.progress, is_given=given["yes"])
    result = await driven.result_of(run_ralph(wish_of(given), driven.show, amending.ask, say))
    return driven.finish(result, "\n".join(table(result)), summary(result))


def wish_of(given: dict[str, Any]) -> Any:
    """The wish of a command line: `given` holds its options by name."""
    from codetether_ray.bootstrap.ralph.run import RalphRunWish

    return RalphRunWish(
        prd=given["prd"],
        directory=Path.cwd(),
        resume=given["resume"],
        model=given["model"],
        max_iterations=given["max_iterations"],
        max_steps=given["max_steps"],
        timeout_s=given["timeout"],
        gate_timeout_s=given["gate_timeout"],
        parallel=given["parallel"],
        retry_for_s=given["retry_for"],
        wait_quota_s=given["wait_quota"],
        budget=options.budget(given["budget"], given["max_tokens"]),
        deliver=given["merge"],
        record=given["record"],
        address=given["address"],
        is_local=given["is_local"],
        dashboard=given["dashboard"],
    )
