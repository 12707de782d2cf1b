"""`codetether okr export`: all that is stored, as JSON."""

import json
import time
from pathlib import Path

import click

from codetether_ray.cli import exit_codes, okr_options, options
from codetether_ray.cli.examples import examples


@click.command(
    "export",
    epilog=examples(
        "codetether okr export > okrs.json",
        "codetether okr export --id 3f2a -o booking.json",
    ),
)
@okr_options.id_option()
@click.option("-o", "--output", type=options.NEW_FILE, default=None, help="Write it to this file.")
@okr_options.as_json
@options.address
def command(id: str, output: Path | None, as_json: bool, address: str | None) -> int:
    """Print OKRs, runs and everything that was measured as one JSON object."""
    from codetether_ray.bootstrap.truth.okrs import READINGS
    from codetether_ray.core.errors import CodetetherError
    from codetether_ray.okr.json_form import okr_json, reading_json, run_json
    from codetether_ray.okr.stamps import moment

    with okr_options.opened(address) as source:
        okrs, runs = okr_options.everything(source, id)
        read = {run.id: source.ask(READINGS, run.id) for run in runs}
    out = {
        "okrs": [okr_json(okr) for okr in okrs],
        "runs": [run_json(run) for run in runs],
        "readings": {key: [reading_json(one) for one in found] for key, found in read.items()},
        "exported_at": moment(time.time()),
    }
    text = json.dumps(out, indent=2, ensure_ascii=False)
    if output is None:
        click.echo(text)
        return exit_codes.SUCCESS
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise CodetetherError(f"{output} cannot be written: {error.strerror}") from error
    if as_json:
        click.echo(json.dumps({"file": str(output), "okrs": len(okrs), "runs": len(runs)}))
    else:
        click.echo(f"{output}: {len(okrs)} OKRs, {len(runs)} runs")
    return exit_codes.SUCCESS
