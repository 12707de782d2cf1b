"""`codetether ralph status`: how far a PRD is, what may begin, and what waits for what."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from codetether_ray.core.codec import JsonObject
    from codetether_ray.ralph.prd import Prd, Story
    from codetether_ray.ralph.prd_text import PrdText

PRD = "prd.json"
_TITLE = 70
_WARNING = 300


@click.command(
    "status",
    epilog=examples(
        "codetether ralph status",
        "codetether ralph status -p docs/prd.json --json | jq -r '.waves[0][]'",
        "codetether ralph status --run rlp_00mws4k4xr_686d8be8 --follow --address 10.0.0.5:6379",
    ),
)
@click.option(
    "-p",
    "--prd",
    "path",
    type=click.Path(path_type=Path),
    default=PRD,
    show_default=True,
    help="The PRD's file.",
)
@click.option("--run", "run_id", metavar="ID", help="Show this run instead, wherever it lives.")
@click.option("--follow", is_flag=True, help="Look on until the run has ended; its exit code then.")
@options.address
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(path: Path, run_id: str | None, follow: bool, address: str | None, as_json: bool) -> int:
    """Show how far a PRD is: what has passed, what may begin now, what waits for what.

    Exit code 0 for every PRD that can be worked on, however far it is.
    """
    if run_id is not None:
        from codetether_ray.cli.ralph_seen import show_run

        return asyncio.run(show_run(run_id, address, follows=follow, as_json=as_json))
    if follow:
        raise click.UsageError("--follow needs a run: --run ID")
    from codetether_ray.bootstrap.ralph.prd_file import read_prd_file

    text = read_prd_file(path)
    if as_json:
        shown = state(path, text)
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        _show(text.prd)
        _warn(text)
    return exit_codes.SUCCESS


command = status


def state(path: Path, text: "PrdText") -> "JsonObject":
    """A PRD's state as `--json` prints it."""
    from codetether_ray.ralph.planning import ready, waiting, waves

    prd = text.prd
    rounds, waits = waves(prd), waiting(prd)
    wave_of = {story.id: number for number, wave in enumerate(rounds, 1) for story in wave}
    return {
        "prd": str(path),
        "project": prd.project,
        "feature": prd.feature,
        "branch": prd.branch,
        "passed": len(prd.passed),
        "total": len(prd.stories),
        "is_complete": prd.is_complete,
        "ready": [story.id for story in ready(prd)],
        "waves": [[story.id for story in wave] for wave in rounds],
        "stories": [
            {
                "id": story.id,
                "title": story.title,
                "passes": story.passes,
                "priority": story.priority,
                "complexity": story.complexity,
                "wave": wave_of.get(story.id),
                "waits_for": list(waits.get(story.id, ())),
            }
            for story in prd.stories
        ],
        "quality_checks": dict(prd.quality_checks.commands),
        "warnings": list(text.warnings),
    }


def _show(prd: "Prd") -> None:
    from codetether_ray.cli import words
    from codetether_ray.ralph.planning import ready, waiting, waves

    click.echo(f"project  {words.one_line(prd.project, _TITLE)}")
    click.echo(f"feature  {words.one_line(prd.feature, _TITLE)}")
    click.echo(f"branch   {words.one_line(prd.branch, _TITLE)}")
    click.echo(f"passed   {len(prd.passed)}/{len(prd.stories)}\n")
    rounds, waits = waves(prd), waiting(prd)
    wave_of = {story.id: number for number, wave in enumerate(rounds, 1) for story in wave}
    width = min(max(len(story.id) for story in prd.stories), 24)
    for story in prd.stories:
        _show_story(story, width, wave_of.get(story.id), waits.get(story.id, ()))
    if rounds:
        widths = ", ".join(str(len(wave)) for wave in rounds)
        next_one = words.one_line(ready(prd)[0].id, 24)
        waves_left = words.plural(len(rounds), "wave")
        click.echo(f"\nleft: {waves_left} of {widths}; next is {next_one}")


def _show_story(story: "Story", width: int, wave: int | None, waits: tuple[str, ...]) -> None:
    from codetether_ray.cli import words
    from codetether_ray.cli.style import paint

    out = sys.stdout
    box = paint("[x]", "green", out) if story.passes else "[ ]"
    title = words.one_line(story.title, _TITLE)
    line = f"{box} {words.one_line(story.id, width).ljust(width)}  {title}"
    if wave is not None:
        line += paint(f"  (wave {wave})", "dim", out)
    click.echo(line)
    if waits:
        behind = words.one_line(", ".join(waits), _TITLE)
        click.echo(paint(f"    {' ' * width}  waits for {behind}", "yellow", out))


def _warn(text: "PrdText") -> None:
    from codetether_ray.cli import words
    from codetether_ray.cli.style import paint

    for warning in text.warnings:
        line = words.one_line(f"warning: {warning}", _WARNING)
        click.echo(paint(line, "yellow", sys.stderr), err=True)
