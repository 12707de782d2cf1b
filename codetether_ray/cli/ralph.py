"""`codetether ralph`: PRDs, and the work on them."""

from types import MappingProxyType

import click

from codetether_ray.cli.commands import Entry
from codetether_ray.cli.examples import examples
from codetether_ray.cli.lazy import LazyGroup

RALPH = MappingProxyType(
    {
        "create-prd": Entry(
            "codetether_ray.cli.ralph_create", "Print a new PRD; with --describe, drafted."
        ),
        "fetch": Entry("codetether_ray.cli.ralph_fetch", "Bring what a submitted run has made."),
        "run": Entry("codetether_ray.cli.ralph_run", "Work a PRD off, story by story."),
        "status": Entry("codetether_ray.cli.ralph_status", "Show how far a PRD, or a run, is."),
        "submit": Entry(
            "codetether_ray.cli.ralph_submit", "Work a PRD off on a cluster, and leave it there."
        ),
    }
)
"""The group's commands; see `commands.COMMANDS`."""


@click.group(
    "ralph",
    cls=LazyGroup,
    table=RALPH,
    epilog=examples(
        'codetether ralph create-prd --feature "Rate limits" --project-name api -o prd.json',
        "codetether ralph run --budget 10",
        "codetether ralph status",
        "codetether ralph submit --address 10.0.0.5:6379",
    ),
)
def command() -> None:
    """A PRD (prd.json) worked off story by story, each by a fresh agent, each behind its gates."""
