"""`codetether ralph create-prd`: a new PRD, a template or drafted by a model."""

import asyncio
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from codetether_ray.bootstrap.ralph.prd_draft import Draft, PrdWish
    from codetether_ray.ralph.prd_text import PrdText

_WARNING = 300


@click.command(
    "create-prd",
    epilog=examples(
        'codetether ralph create-prd --feature "Rate limits" --project-name api -o prd.json',
        'codetether ralph create-prd -f "Rate limits" --project-name api -o prd.json \\',
        '    --describe "limit each client to N requests a minute; answer 429 beyond it"',
    ),
)
@click.option(
    "-f",
    "--feature",
    default="new-feature",
    show_default=True,
    help="What is to be built, in a few words.",
)
@click.option(
    "--project-name",
    "project",
    default="my-project",
    show_default=True,
    help="The project's name.",
)
@click.option(
    "-o",
    "--output",
    type=options.NEW_FILE,
    metavar="FILE",
    help="Write it here as well; a file that is there is left alone.",
)
@click.option(
    "--describe",
    metavar="TEXT",
    help="What is wanted: a model looks at the repository and drafts the stories. `-`: from stdin.",
)
@options.limits
@click.option("--json", "as_json", is_flag=True, help="Print JSON even where -o writes it.")
def create_prd(
    feature: str,
    project: str,
    output: Path | None,
    describe: str | None,
    as_json: bool,
    **given: Any,
) -> int:
    """Print a new PRD as JSON, with gates that fit the language of this directory.

    Without --describe it is a template of one story. Nothing is written without -o.
    """
    from codetether_ray.bootstrap.ralph.prd_draft import template_prd

    if output is not None and os.path.lexists(output):
        raise click.UsageError(f"{output} is there already; name another file, or remove it")
    code = exit_codes.SUCCESS
    if describe is None:
        text = template_prd(Path.cwd(), project, feature)
    else:
        wish = _wish(feature, project, options.given_text(describe), given)
        draft, code = asyncio.run(_draft(wish, given["max_time"]))
        if draft.text is None:
            return code
        text = draft.text
        _show(text)
    _warn(text)
    _deliver(text, output, as_json=as_json)
    return code


command = create_prd


def _wish(feature: str, project: str, described: str, given: dict[str, Any]) -> "PrdWish":
    from codetether_ray.bootstrap.ralph.prd_draft import PrdWish
    from codetether_ray.bootstrap.session.wish import SessionWish

    session = SessionWish(
        message=None,
        directory=Path.cwd(),
        model=given["model"],
        budget=options.budget(given["budget"], given["max_tokens"]),
        retry_for_s=given["retry_for"],
        wait_quota_s=given["wait_quota"],
        record=given["record"],
        address="local",
    )
    return PrdWish(
        directory=Path.cwd(), project=project, feature=feature, describe=described, session=session
    )


async def _draft(wish: "PrdWish", max_time_s: float | None) -> "tuple[Draft, int]":
    from codetether_ray.bootstrap.ralph.prd_draft import Draft, draft_prd
    from codetether_ray.cli import words
    from codetether_ray.cli.output import Notes, say
    from codetether_ray.cli.signals import Stopper

    notes = Notes(sys.stderr)
    stopper: Stopper[Draft] = Stopper(say, max_time_s)

    def show(record: Any) -> None:
        stopper.saw(record)
        notes.show(record)

    draft = await stopper.run(draft_prd(wish, show, say))
    if draft.text is None:
        notes.close(draft.result)
    else:
        cost = words.dollars(draft.cost_usd)
        notes.write(f"drafted in {draft.result.session_id} · {words.tokens(draft.usage)} · {cost}")
    turn = draft.result.turn
    return draft, stopper.exit_code(exit_codes.of_outcome(turn.outcome, turn.error_kind))


def _show(text: "PrdText") -> None:
    """The stories and the gates, on stderr."""
    from codetether_ray.cli import words
    from codetether_ray.cli.style import paint

    for story in text.prd.stories:
        behind = f" (after {', '.join(story.depends_on)})" if story.depends_on else ""
        line = words.one_line(f"{story.id}  {story.title}{behind}", _WARNING)
        click.echo(line, err=True)
    for name, gate in text.prd.quality_checks.commands:
        click.echo(paint(words.one_line(f"{name}: {gate}", _WARNING), "dim", sys.stderr), err=True)


def _warn(text: "PrdText") -> None:
    """What to look at again, on stderr."""
    from codetether_ray.cli import words
    from codetether_ray.cli.style import paint

    for warning in text.warnings:
        line = words.one_line(f"warning: {warning}", _WARNING)
        click.echo(paint(line, "yellow", sys.stderr), err=True)


def _deliver(text: "PrdText", output: Path | None, *, as_json: bool) -> None:
    """The PRD on stdout, or in its file; a file that appeared meanwhile is left alone."""
    from codetether_ray.cli.style import say
    from codetether_ray.core.errors import PrdFileError

    if output is None:
        click.echo(text.text, nl=False)
        say("nothing was written; `-o prd.json` writes it, `codetether ralph run` works it off")
        return
    try:
        with output.open("xb") as file:
            file.write(text.bytes)
    except OSError as error:
        click.echo(text.text, nl=False)  # a draft was paid for
        raise PrdFileError(str(output), f"it cannot be written: {error.strerror}") from error
    if as_json:
        click.echo(text.text, nl=False)
    named = shlex.quote(str(output))
    say(f"wrote {output}; `codetether ralph status -p {named}` shows it")
