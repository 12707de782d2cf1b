"""`codetether archive`: runs in S3-compatible storage: how far, send, bring back, ask."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli import exit_codes
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from codetether_ray.archive.query import Question
    from codetether_ray.bootstrap.auditing.opening import Done
    from codetether_ray.config.settings import Settings


@click.group(
    "archive",
    epilog=examples(
        "codetether config set archive.bucket my-runs",
        "codetether auth set s3 --access-key AKIA…",
        "codetether archive status",
        "codetether archive list",
        "codetether archive push --all",
        "codetether archive query --kind model.responded --sum cost_usd --by date",
    ),
)
def archive() -> None:
    """Keep runs in S3-compatible storage (S3, R2, MinIO), and bring them back.

    With a bucket set, every run is sent in the background while it goes on; nothing is deleted here
    before it was read back from there.
    """


command = archive


@archive.command(
    "status", epilog=examples("codetether archive status", "codetether archive status --json")
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--all", "everything", is_flag=True, help="Runs that are there whole, too.")
def status(as_json: bool, everything: bool) -> int:
    """Show how far the archive is behind each run: what the loss of this machine would cost."""
    from codetether_ray.bootstrap.archiving.opening import place_of
    from codetether_ray.bootstrap.archiving.standing import run_ids, standing

    settings = _settings()
    data_dir, place = settings.paths.data, place_of(settings)
    rows = [standing(data_dir, run_id, place) for run_id in run_ids(data_dir)]
    total = {
        "lag_bytes": sum(row.lag_bytes for row in rows),
        "lag_s": round(max((row.lag_s for row in rows), default=0.0), 1),
    }
    if as_json:
        where = settings.archive.bucket
        out = {"bucket": where, **total, "runs": [row.to_json() for row in rows]}
        click.echo(json.dumps(out, indent=2))
        return exit_codes.SUCCESS
    behind = [row for row in rows if row.lag_bytes]
    for row in rows if everything else [r for r in rows if r.lag_bytes or r.elsewhere]:
        state = _behind(row.lag_bytes, row.lag_s) if row.lag_bytes else "there"
        where = ", ".join(row.elsewhere) or "there"
        away = f", {row.away} segment(s) only {'in ' if row.elsewhere else ''}{where}"
        away = away if row.away else ""
        click.echo(
            f"{row.run_id}  {_bytes(row.verified):>9} of {_bytes(row.end):>9}  {state}{away}"
        )
    if settings.archive.bucket is None:
        hint = "no archive is set; `codetether config set archive.bucket NAME` names one"
        click.echo(hint, err=True)
    elif settings.archive.retention_s is not None:
        from codetether_ray.cli import words as cli_words

        span = cli_words.seconds(settings.archive.retention_s)
        click.echo(
            f"sealed files of finished runs go from here {span} after they were verified: each "
            "running run looks once an hour, `codetether archive push --all` at once",
            err=True,
        )
    words = _behind(int(total["lag_bytes"]), total["lag_s"]) if behind else "all of them there"
    click.echo(f"{len(rows)} run(s): {words}", err=True)
    return exit_codes.SUCCESS


@archive.command(
    "list",
    epilog=examples(
        "codetether archive list",
        "codetether archive list --json | jq -r '.[] | select(.here | not) | .id'",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_(as_json: bool) -> int:
    """List the runs that the archive holds, also those of a machine that was lost."""
    from codetether_ray.bootstrap.archiving.opening import must_open
    from codetether_ray.bootstrap.archiving.standing import archived_runs, run_ids

    settings = _settings()
    here = set(run_ids(settings.paths.data))
    rows = archived_runs(must_open(settings))
    if as_json:
        out = [
            {"id": r.run_id, "objects": r.objects, "bytes": r.bytes, "here": r.run_id in here}
            for r in rows
        ]
        click.echo(json.dumps(out, indent=2))
        return exit_codes.SUCCESS
    for row in rows:
        missing = "" if row.run_id in here else f"   codetether archive pull {row.run_id}"
        click.echo(f"{row.run_id}  {row.objects:>5} object(s)  {_bytes(row.bytes):>9}{missing}")
    if not rows:
        click.echo("the archive holds no run yet", err=True)
    return exit_codes.SUCCESS


@archive.command(
    "push",
    epilog=examples(
        "codetether archive push ses_…",
        "codetether archive push --all",
        "codetether archive push --all --check   # read everything back as well",
    ),
)
@click.argument("run_id", metavar="RUN", required=False)
@click.option("--all", "everything", is_flag=True, help="Every run, and the audit log.")
@click.option("--check", is_flag=True, help="Read back what is there; send again what is damaged.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def push(run_id: str | None, everything: bool, check: bool, as_json: bool) -> int:
    """Send now what the archive lacks of RUN, or of everything."""
    from codetether_ray.bootstrap.archiving.opening import must_open
    from codetether_ray.bootstrap.archiving.push import push_by_hand

    if (run_id is None) is not everything:
        raise click.UsageError("name a run, or say --all")
    settings = _settings()
    store = must_open(settings)
    with _noted(settings, "archive.push", run_id or "all") as noted, _Counting() as counting:
        done = push_by_hand(store, settings, run_id, counting.told, is_checked=check)
        noted.detail |= {"objects": done.pushed.objects, "bytes": done.pushed.bytes}
    out = {
        "objects": done.pushed.objects,
        "bytes": done.pushed.bytes,
        "damaged": list(done.damaged),
        "released": list(done.released),
    }
    if as_json:
        click.echo(json.dumps(out))
        return exit_codes.SUCCESS
    for name in done.damaged:
        click.echo(f"damaged in the archive, and sent again if it was here: {name}", err=True)
    click.echo(f"sent {done.pushed.objects} object(s), {_bytes(done.pushed.bytes)}")
    return exit_codes.SUCCESS


@archive.command("pull", epilog=examples("codetether archive pull ses_…"))
@click.argument("run_id", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def pull(run_id: str, as_json: bool) -> int:
    """Bring RUN back from the archive, to replay it here or go on with it."""
    from codetether_ray.bootstrap.archiving.opening import must_open
    from codetether_ray.bootstrap.archiving.pull import pull_run

    settings = _settings()
    store = must_open(settings)
    with _noted(settings, "archive.pull", run_id) as noted, _Counting() as counting:
        done = pull_run(store, settings.paths.data, run_id, lambda _: counting.told(None))
        noted.detail |= {"objects": done.objects, "bytes": done.bytes}
    if as_json:
        out = {"run_id": run_id, "objects": done.objects, "bytes": done.bytes, "end": done.end}
        click.echo(json.dumps(out))
        return exit_codes.SUCCESS
    click.echo(f"{run_id} is here: {done.objects} object(s), {_bytes(done.bytes)}")
    return exit_codes.SUCCESS


@archive.command(
    "query",
    epilog=examples(
        "codetether archive query --kind tool.finished --since 7d --limit 20",
        "codetether archive query --sum cost_usd --sum prompt_tokens --by date --json",
        "codetether archive query --run ses_… --columns time,agent,kind,payload",
    ),
)
@click.option("--kind", "kinds", multiple=True, help="Kind of event (repeatable).")
@click.option("--agent", help="Agent's path.")
@click.option("--run", "run_id", metavar="RUN", help="One run.")
@click.option("--session", "session_id", metavar="ID", help="One session.")
@click.option("--since", metavar="TIME", help="ISO time, or a span before now (2h, 7d).")
@click.option("--until", metavar="TIME", help="ISO time, or a span before now.")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="Rows at most.")
@click.option("--columns", metavar="A,B", help="Columns to show.")
@click.option("--sum", "sums", multiple=True, metavar="COLUMN", help="Sum up (repeatable).")
@click.option("--by", multiple=True, metavar="COLUMN", help="A row for each value (repeatable).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def query(as_json: bool, **wanted: Any) -> int:
    """Ask the Parquet copy of finished runs. What is not in it yet is brought in first."""
    from codetether_ray.bootstrap.archiving.rows import ask_rows, update_rows
    from codetether_ray.bootstrap.replay import archived

    question = _question(wanted)
    data_dir = _settings().paths.data
    for trouble in update_rows(data_dir, fetch=archived()):
        click.echo(f"left out: {trouble}", err=True)
    rows = ask_rows(data_dir, question)
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False, default=str))
    else:
        _table(rows)
    return exit_codes.SUCCESS


def _question(wanted: dict[str, Any]) -> "Question":
    from codetether_ray.archive.query import SHOWN, Question

    columns = tuple(c.strip() for c in (wanted["columns"] or "").split(",") if c.strip())
    return Question(
        kinds=wanted["kinds"],
        agent=wanted["agent"],
        run_id=wanted["run_id"],
        session_id=wanted["session_id"],
        since=_moment("--since", wanted["since"]),
        until=_moment("--until", wanted["until"]),
        limit=wanted["limit"],
        columns=columns or SHOWN,
        sums=wanted["sums"],
        by=wanted["by"],
    )


def _moment(option: str, text: str | None) -> float | None:
    """Unix time of an ISO time or a span before now."""
    import time
    from datetime import UTC, datetime

    from codetether_ray.config.kinds import DURATION

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return time.time() - float(str(DURATION.parse(text)))
        except ValueError:
            words = f"{option} {text!r} is no ISO time and no span such as 2h"
            raise click.UsageError(words) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        click.echo("nothing found", err=True)
        return
    from codetether_ray.cli import words

    lines = [list(rows[0]), *([_cell(row[name]) for name in row] for row in rows)]
    widths = [min(max(words.cells(line[n]) for line in lines), 60) for n in range(len(lines[0]))]
    for line in lines:
        cells = (words.column(cell, width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    from codetether_ray.cli import words

    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return words.one_line(str(value), 400)


class _Counting:
    """Says on a terminal how many objects went, in one line that is wiped at the end."""

    def __init__(self) -> None:
        self._count = 0
        self._is_shown = sys.stderr.isatty()

    def __enter__(self) -> "_Counting":
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown and self._count:
            click.echo("\r\x1b[K", nl=False, err=True)

    def told(self, _: object) -> None:
        """One more object."""
        self._count += 1
        if self._is_shown:
            click.echo(f"\r{self._count} object(s)…", nl=False, err=True)


def _behind(lag_bytes: int, lag_s: float) -> str:
    from codetether_ray.cli import words

    return f"{_bytes(lag_bytes)} not there yet, the oldest {words.seconds(lag_s)} old"


def _bytes(number: int) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number = number / 1000  # type: ignore[assignment]
    return f"{number:.1f} GB"


def _noted(settings: "Settings", action: str, what: str) -> "AbstractContextManager[Done]":
    """The audit log's note of what goes to the archive, or comes from it."""
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.ports.audit import Action

    return acting(settings.paths.data, Action(category="archive", action=action, resource=what))


def _settings() -> "Settings":
    from codetether_ray.config.settings import load_settings

    return load_settings(Path.cwd(), os.environ)
