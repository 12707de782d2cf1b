"""`codetether doctor`: is everything well, and what to do where it is not."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples
from codetether_ray.cli.style import paint

if TYPE_CHECKING:
    from codetether_ray.bootstrap.doctor.check import Check

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(
    "doctor",
    epilog=examples(
        "codetether doctor",
        "codetether doctor --address 10.0.0.5:6379",
        "codetether doctor --json | jq '.checks[] | select(.state != \"ok\")'",
    ),
)
@options.address
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(address: str | None, as_json: bool) -> int:
    """Check versions, disk, keys, providers, runs, archive, audit; of a cluster every node.

    One line each, with what to do. Also with a full disk. The exit code is 1 where a check failed;
    warnings leave it 0.
    """
    from codetether_ray.bootstrap.doctor.examination import examine

    found = []
    for check in examine(Path.cwd(), os.environ, address):
        found.append(check)
        if not as_json:
            click.echo(_line(check))
    is_well = all(check.state != "fail" for check in found)
    if as_json:
        out = {"success": is_well, "checks": [asdict(check) for check in found]}
        click.echo(json.dumps(out, indent=2, ensure_ascii=False))
    return exit_codes.SUCCESS if is_well else exit_codes.FAILED


def _line(check: "Check") -> str:
    mark = paint(f"{check.state:4}", _COLOURS[check.state], sys.stdout)
    where = f"{check.node}: " if check.node else ""
    fix = f" — {check.fix}" if check.fix else ""
    return f"{mark}  {check.name:14}  {where}{check.detail}{fix}"
