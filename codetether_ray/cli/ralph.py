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
        "run": Entry("codetether_ray.cli.ralph_run", "Work a PRD off, story by story."),
        "status": Entry("codetether_ray.cli.ralph_status", "Show how far a PRD is."),
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
    ),
)
def command() -> None:
    """A PRD (prd.json) worked off story by story, each by a fresh agent, each behind its gates."""
