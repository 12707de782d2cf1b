"""`codetether okr report`: what was measured, as text, JSON or a page."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codetether_ray.cli import exit_codes, okr_options, options
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from codetether_ray.core.measures import KrReading
    from codetether_ray.core.okrs import Okr, OkrRun


@click.command(
    "report",
    epilog=examples(
        "codetether okr report --id 3f2a",
        "codetether okr report --id 3f2a --html report.html",
        "codetether okr report --id rly_00mws4k4xr_686d8be8 --json --evidence",
    ),
)
@okr_options.id_option(is_required=True)
@click.option("--html", type=options.NEW_FILE, default=None, help="Write a page to this file.")
@click.option("--evidence", is_flag=True, help="With what each measurement said.")
@okr_options.as_json
@options.address
def command(id: str, html: Path | None, evidence: bool, as_json: bool, address: str | None) -> int:
    """Report an OKR over all its runs, or one run: each value, with commit and evidence."""
    from codetether_ray.bootstrap.truth.okrs import FIND, READINGS

    with okr_options.opened(address) as source:
        (okr,), runs = okr_options.everything(source, id)
        is_run = source.ask(FIND, id)[1] is not None
        read = {run.id: source.ask(READINGS, run.id) for run in runs}
    if html is not None:
        _write_page(html, okr, runs, read)
    if as_json:
        click.echo(json.dumps(_json(okr, runs, read, is_run=is_run), indent=2, ensure_ascii=False))
        return exit_codes.SUCCESS
    if html is not None:
        click.echo(str(html))
        return exit_codes.SUCCESS
    _print(okr, runs, read, with_evidence=evidence)
    return exit_codes.SUCCESS


def _json(
    okr: "Okr",
    runs: "list[OkrRun]",
    read: "dict[str, tuple[KrReading, ...]]",
    *,
    is_run: bool,
) -> dict[str, object]:
    from codetether_ray.okr.json_form import okr_json, reading_json, run_json
    from codetether_ray.okr.progress import total_progress

    if is_run:
        return {
            "run": run_json(runs[0]),
            "okr": okr_json(okr),
            "readings": [reading_json(one) for one in read[runs[0].id]],
        }
    return {
        "okr": okr_json(okr),
        "runs": [run_json(run) for run in runs],
        "total_progress": round(total_progress(okr) * 100, 4),
        "readings": {key: [reading_json(one) for one in found] for key, found in read.items()},
    }


def _print(
    okr: "Okr",
    runs: "list[OkrRun]",
    read: "dict[str, tuple[KrReading, ...]]",
    *,
    with_evidence: bool,
) -> None:
    from codetether_ray.cli import words
    from codetether_ray.cli.okr_words import print_readings, print_run
    from codetether_ray.okr.progress import total_progress

    click.echo(f"{words.one_line(okr.title, 200)}  {total_progress(okr):.0%}  {okr.status}")
    for run in runs:
        click.echo("")
        print_run(run)
        print_readings(okr, read[run.id], with_evidence=with_evidence)
    if not runs:
        print_readings(okr, ())


def _write_page(
    file: Path, okr: "Okr", runs: "list[OkrRun]", read: "dict[str, tuple[KrReading, ...]]"
) -> None:
    from codetether_ray.core.errors import CodetetherError
    from codetether_ray.okr.page import page

    try:
        file.write_text(page(okr, [(run, read[run.id]) for run in runs]), encoding="utf-8")
    except OSError as error:
        raise CodetetherError(f"{file} cannot be written: {error.strerror}") from error
