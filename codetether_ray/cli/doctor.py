"""`codetether doctor`: is everything well, and what to do where it is not."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from codetether_ray.cli import exit_codes
from codetether_ray.cli.examples import examples
from codetether_ray.cli.style import paint

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(
    "doctor",
    epilog=examples(
        "codetether doctor", "codetether doctor --json | jq '.checks[] | select(.state != \"ok\")'"
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> int:
    """Check versions, disk, keys, runs, archive and audit; one line each, with what to do.

    Also with a full disk. The exit code is 1 where a check failed; warnings leave it 0.
    """
    from codetether_ray.bootstrap.doctor import examine

    found = []
    for check in examine(Path.cwd(), os.environ):
        found.append(check)
        if as_json:
            continue
        mark = paint(f"{check.state:4}", _COLOURS[check.state], sys.stdout)
        fix = f" — {check.fix}" if check.fix else ""
        click.echo(f"{mark}  {check.name:14}  {check.detail}{fix}")
    is_well = all(check.state != "fail" for check in found)
    if as_json:
        out = {"success": is_well, "checks": [asdict(check) for check in found]}
        click.echo(json.dumps(out, indent=2, ensure_ascii=False))
    return exit_codes.SUCCESS if is_well else exit_codes.FAILED
