"""`codetether run`: one agent, one turn."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.bootstrap.early import load_client
from codetether_ray.cli import exit_codes, options, relay_run
from codetether_ray.cli.examples import examples
from codetether_ray.cli.options import Format
from codetether_ray.cli.slash import parse_slash
from codetether_ray.cli.style import say
from codetether_ray.core.ids import run_kind

if TYPE_CHECKING:
    from codetether_ray.core.events import Record


@click.command(
    "run",
    epilog=examples(
        'codetether run "why does test_parser fail?"',
        "codetether run - --model anthropic/claude-haiku-5-5 < task.md",
        'codetether run --continue "now fix it"',
        "codetether run --resume",
        "codetether run --resume ses_00mws4k4xr_686d8be8 --max-steps 200",
        'codetether run "/autochat 3 make the parser faster, with a benchmark"',
        'codetether run --yes "/go make the tests pass on Python 3.13"',
        'codetether run "sum up the changes" --output-schema schema.json --format json',
    ),
)
@click.argument("message", default="")
@options.limits
@click.option("-c", "--continue", "go_on", is_flag=True, help="Go on with the newest session here.")
@click.option("-s", "--session", metavar="ID", help="Go on with this session.")
@options.resume(
    "Take up again what stopped before its end, from its next step: this session, or the newest "
    "here that did not finish."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "stream-json"]),
    default="text",
    show_default=True,
    help="text: the answer; json: one object; stream-json: one line per event.",
)
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Attach a file or picture (repeatable).",
)
@click.option(
    "-o",
    "--output",
    type=options.NEW_FILE,
    metavar="FILE",
    help="Write the last message to FILE as well.",
)
@click.option(
    "--output-schema",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The answer must be JSON that satisfies this JSON Schema.",
)
@click.option(
    "--max-steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="Model calls at most.  [default: agent.max_steps, 50]",
)
@click.option(
    "--timeout",
    type=options.SPAN,
    metavar="TIME",
    help="How long the agent may work, waiting for children not counted.",
)
@click.option("-y", "--yes", is_flag=True, help="With /go: approve what is drafted beforehand.")
@click.option("--merge", is_flag=True, help="With /go, /autochat: merge into the current branch.")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    metavar="N",
    help="With /go, /autochat: rounds of turns at most.  [default: 3]",
)
@options.address
@click.option("--ray", "on_ray", is_flag=True, help="Run the agent on a Ray cluster.")
def command(message: str, form: Format, **given: Any) -> int:
    """Give one agent a task in this directory. MESSAGE `-` reads it from stdin.

    What was interrupted goes on with --resume, which takes no message: what was asked is recorded,
    and so are the model and the limits, unless they are given anew.

    "/go [COUNT] TASK" drafts an objective, asks, and lets a team of COUNT agents (2 to 8) work by
    turns until its key results are met; "/autochat [COUNT] TASK" does the task without asking.
    "/swarm TASK" and "/ralph [PRD]" are the commands of that name.
    """
    given["resume"] = _resumed(message, given)
    if given["resume"] is not None:
        if run_kind(given["resume"]) == "relay":
            return asyncio.run(relay_run.relay(None, form, given))
        relay_run.refuse_others(None, given)
        return asyncio.run(_run(None, form, given))
    text = _asked(message)
    slash = parse_slash(text)
    relay_run.refuse_others(slash, given)
    if slash is None:
        return asyncio.run(_run(text, form, given))
    if slash.verb in ("go", "autochat"):
        return asyncio.run(relay_run.relay(slash, form, given))
    return relay_run.other(slash, form, given)


def _asked(message: str) -> str:
    if not message:
        raise click.UsageError("Missing argument 'MESSAGE'.")
    return options.given_text(message)


def _resumed(message: str, given: dict[str, Any]) -> str | None:
    """What `--resume` names, made sure that nothing contradicts it.

    Raises:
        click.UsageError: something does.
    """
    session, named = given["session"], given["resume"]
    if session and given["go_on"]:
        raise click.UsageError("--session and --continue exclude each other")
    if named is None:
        return None
    options.refuse_text(
        message, named, '`codetether run --continue "…"` says something new in a session'
    )
    if given["go_on"]:
        raise click.UsageError("--continue says something new, --resume does not: give one of them")
    if given["files"]:
        raise click.UsageError("--resume goes on with the recorded message; --file adds nothing")
    if session and named and session != named:
        raise click.UsageError(f"--session {session} and --resume {named} name two sessions")
    return str(session or named)


async def _run(text: str | None, form: Format, given: dict[str, Any]) -> int:
    load_client()
    from codetether_ray.bootstrap.session.home import SessionResult
    from codetether_ray.bootstrap.session.run import run_session
    from codetether_ray.bootstrap.session.wish import SessionWish
    from codetether_ray.cli import attachments, unfinished
    from codetether_ray.cli.output import open_output
    from codetether_ray.cli.signals import Stopper

    wanted = SessionWish(
        message=None if text is None else attachments.message(text, given["files"]),
        directory=Path.cwd(),
        resume=given["resume"],
        model=given["model"],
        session_id=given["session"],
        continue_newest=given["go_on"],
        max_steps=given["max_steps"],
        timeout_s=given["timeout"],
        budget=options.budget(given["budget"], given["max_tokens"]),
        output_schema=options.schema(given["output_schema"]),
        retry_for_s=given["retry_for"],
        wait_quota_s=given["wait_quota"],
        record=given["record"],
        on_ray=given["on_ray"],
        address=given["address"],
    )
    if text is not None and not (given["session"] or given["go_on"]):
        unfinished.remind(wanted.directory)
    output = open_output(form)
    stopper: Stopper[SessionResult] = Stopper(say, given["max_time"])

    def show(record: "Record") -> None:
        stopper.saw(record)
        output.show(record)

    result = await stopper.run(run_session(wanted, show, say))
    output.finish(result)
    if given["output"] is not None:
        options.write_last(given["output"], result.turn.text)
    return stopper.exit_code(exit_codes.of_outcome(result.turn.outcome, result.turn.error_kind))
