"""`codetether swarm`: a task split among agents, their work merged into one branch."""

import asyncio
from pathlib import Path
from typing import Any

import click

from codetether_ray.bootstrap.early import load_client
from codetether_ray.cli import options
from codetether_ray.cli.examples import examples
from codetether_ray.cli.options import Format

_STRATEGIES = ("auto", "domain", "data", "stage", "none")
_COUNT = click.IntRange(min=1)


@click.command(
    "swarm",
    epilog=examples(
        'codetether swarm "port the tests to pytest"',
        'codetether swarm --plan --budget 5 "add type hints, module by module"',
        'codetether swarm --pack 100 --max-subagents 1000 "summarise each file"',
        "codetether swarm --resume",
        "codetether swarm --resume swm_00mws4k4xr_686d8be8 --max-tokens 2000000",
    ),
)
@click.argument("task", default="")
@click.option(
    "-s",
    "--strategy",
    type=click.Choice(_STRATEGIES),
    help="How the task is split.  [default: swarm.strategy, auto]",
)
@click.option(
    "--max-subagents",
    type=_COUNT,
    metavar="N",
    help="Subtasks that the plan may have.  [default: swarm.max_subagents, 100]",
)
@click.option(
    "--max-steps",
    type=_COUNT,
    metavar="N",
    help="Model calls of one sub-agent.  [default: swarm.max_steps, 100]",
)
@click.option(
    "--timeout",
    type=options.SPAN,
    metavar="TIME",
    help="How long one sub-agent may work.  [default: swarm.timeout, 300]",
)
@click.option(
    "--max-depth",
    type=click.IntRange(min=1),
    metavar="N",
    help="How deep agents may spawn agents.  [default: swarm.max_depth, 3]",
)
@click.option(
    "--memory-per-agent",
    "memory",
    type=options.SIZE,
    metavar="SIZE",
    help="Memory set aside for one agent with its tools.  [default: swarm.memory, 200MB]",
)
@click.option(
    "--memory",
    "total_memory",
    type=options.SIZE,
    metavar="SIZE",
    help="Memory that all agents together may take; the rest of them wait.  "
    "[default: swarm.total_memory, what there is]",
)
@click.option("--parallel", type=_COUNT, metavar="N", help="Agents that may live at once.")
@click.option(
    "--pack",
    type=_COUNT,
    metavar="N",
    help="Sub-agents that may share a process: lighter, and lost together if it dies.  "
    "[default: swarm.pack, 1]",
)
@options.limits
@click.option("--plan", "show_plan", is_flag=True, help="Show the plan and ask before it begins.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask, however large the plan is.")
@click.option("--merge", is_flag=True, help="Merge the result into the current branch.")
@options.resume(
    "Go on with a swarm that stopped before its end: this one, or the newest here that did not "
    "finish."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "stream-json"]),
    default="text",
    show_default=True,
    help="text: the answer; json: one object; stream-json: a line per event.",
)
@options.address
@click.option("--dashboard", is_flag=True, help="Start Ray's dashboard as well.")
@click.option("--local", "is_local", is_flag=True, help="Run all agents in this process, no Ray.")
def command(task: str, form: Format, as_json: bool, **given: Any) -> int:
    """Split TASK among agents, each in a git worktree, and merge their work into one branch.

    TASK `-` is read from stdin. Your branch and files stay as they are, unless --merge is given.
    What was interrupted goes on with --resume, which takes no task: finished subtasks stay
    finished, and the recorded terms hold, unless they are given anew.
    """
    if given["resume"] is None:
        task = options.given_text(task)
    else:
        options.refuse_text(task, given["resume"], '`codetether swarm "…"` begins a new one')
    return asyncio.run(_swarm(task, "json" if as_json else form, given))


async def _swarm(task: str, form: Format, given: dict[str, Any]) -> int:
    load_client()
    from codetether_ray.bootstrap.swarm.run import run_swarm
    from codetether_ray.cli import unfinished
    from codetether_ray.cli.driven import DrivenRun
    from codetether_ray.cli.style import say
    from codetether_ray.cli.summary import summary
    from codetether_ray.cli.swarm_consent import Consent

    if given["resume"] is None:
        unfinished.remind(Path.cwd())
    run = DrivenRun(form, given["max_time"])
    consent = Consent(run.progress, is_given=given["yes"])
    result = await run.result_of(run_swarm(wish_of(task, given), run.show, consent.ask, say))
    return run.finish(result, result["result"], summary(result))


def wish_of(task: str, given: dict[str, Any]) -> Any:
    """The wish of a command line: `given` holds its options by name."""
    from codetether_ray.bootstrap.swarm.request import ASK_ABOVE
    from codetether_ray.bootstrap.swarm.run import SwarmWish

    never = given["yes"] and not given["show_plan"]
    return SwarmWish(
        task=task,
        directory=Path.cwd(),
        resume=given["resume"],
        model=given["model"],
        strategy=given["strategy"],
        max_subagents=given["max_subagents"],
        max_steps=given["max_steps"],
        max_depth=given["max_depth"],
        timeout_s=given["timeout"],
        memory_bytes=given["memory"],
        total_memory_bytes=given["total_memory"],
        parallel=given["parallel"],
        pack=given["pack"],
        retry_for_s=given["retry_for"],
        wait_quota_s=given["wait_quota"],
        budget=options.budget(given["budget"], given["max_tokens"]),
        deliver=given["merge"],
        ask_above=None if never else 0 if given["show_plan"] else ASK_ABOVE,
        record=given["record"],
        address=given["address"],
        is_local=given["is_local"],
        dashboard=given["dashboard"],
    )
