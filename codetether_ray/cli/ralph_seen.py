"""How a run stands that lives elsewhere, for `codetether ralph status --run`."""

import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from codetether_ray.cli import exit_codes, words
from codetether_ray.core.events import (
    AttemptStarted,
    RalphContinued,
    RalphStarted,
    Record,
    StoryEnded,
)

if TYPE_CHECKING:
    from codetether_ray.bootstrap.remote.following import Seen


async def show_run(run_id: str, address: str | None, *, follows: bool, as_json: bool) -> int:
    """Print how the run stands, once it has ended if it is followed; its exit code then.

    Ctrl-C ends the looking on, and nothing else.
    """
    from codetether_ray.bootstrap.remote.following import follow, look
    from codetether_ray.bootstrap.truth.reach import looking
    from codetether_ray.cli.live import open_progress, ticking
    from codetether_ray.cli.ralph_view import RalphView
    from codetether_ray.cli.style import say
    from codetether_ray.config.paths import find_paths

    stories: dict[str, str] = {}
    async with looking(address, find_paths(os.environ).data, say) as truth:
        if follows:
            progress = open_progress(sys.stderr, RalphView(run_id))

            def show(record: Record) -> None:
                _note(stories, record)
                progress.show(record)

            async with ticking(progress):
                seen = await follow(truth, run_id, show)
        else:
            seen = await look(truth, run_id, partial(_note, stories))
    _print(seen, stories, as_json=as_json)
    return _exit_code(seen, follows=follows)


def _note(stories: dict[str, str], record: Record) -> None:
    """Keep how each story stands."""
    match record.event:
        case RalphStarted(stories=known) | RalphContinued(stories=known):
            for story in known:
                is_done = story.get("passes") is True
                stories[str(story["id"])] = "passed" if is_done else "open"
        case AttemptStarted(story=id, attempt=attempt):
            stories[id] = f"attempt {attempt}"
        case StoryEnded(story=id, status=status):
            stories[id] = status


def _print(seen: "Seen", stories: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        out = {"run_id": seen.run_id, "state": seen.state, "outcome": seen.outcome or None}
        shown = {**out, "stories": stories, "result": seen.result}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    click.echo(f"{seen.run_id}: {seen.outcome or seen.state}")
    for story, state in stories.items():
        click.echo(f"  {words.one_line(story, 40)}: {state}")
    if seen.result is not None and seen.result.get("error"):
        click.echo(f"  {words.one_line(str(seen.result['error']), 400)}", err=True)
    if seen.state == "interrupted":
        click.echo(f"  go on: codetether ralph run --resume {seen.run_id}", err=True)


def _exit_code(seen: "Seen", *, follows: bool) -> int:
    """Of who followed it: the run's own."""
    if not follows:
        return exit_codes.SUCCESS
    code = None if seen.result is None else seen.result.get("exit_code")
    return code if isinstance(code, int) else exit_codes.FAILED
