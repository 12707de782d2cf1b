"""`codetether audit`: what was done here, by whom, and whether the record of it is whole."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples
from codetether_ray.ports.audit import AuditCategory, AuditOutcome

if TYPE_CHECKING:
    from codetether_ray.audit.entries import Entry
    from codetether_ray.audit.query import Query
    from codetether_ray.audit.report import Report
    from codetether_ray.bootstrap.truth.reading import Source

F = TypeVar("F", bound=Callable[..., Any])


@click.group(
    "audit",
    epilog=examples(
        "codetether audit list",
        "codetether audit list --action 'tool:*' --since 2h",
        "codetether audit query --run ses_00mws4k4xr_686d8be8 --json",
        "codetether audit verify --key audit-key.pub",
    ),
)
def audit() -> None:
    """What was done, by whom, and how it ended; and whether that record is whole.

    Every action is written down before it happens. One whose end nobody could write is `unknown`.
    """


class Moment(click.ParamType[float]):
    """A time (`2026-11-22`, `2026-11-22T08:00Z`), or how long ago (`90s`, `2h`, `7d`)."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds since the epoch."""
        from codetether_ray.audit.query import moment

        if isinstance(value, float):
            return value
        try:
            return moment(str(value), time.time())
        except ValueError:
            self.fail(f"{value!r} is no time: write 2026-11-22T08:00Z, or 2h for 2 h ago", param)


_MOMENT = Moment()
_WIDE = 1000  # characters of a finding; names in it may have been made up by whoever tampered
_OUTCOMES = (*get_args(AuditOutcome), "unknown")


def _filters(function: F) -> F:
    """The options of `list` and `query`."""
    for option in reversed(
        (
            click.option("--actor", metavar="NAME", help="Who: user:alice, agent:sub/*, alice."),
            click.option("--action", metavar="NAME", help="What: config.set, 'tool:*'."),
            click.option("--resource", metavar="NAME", help="To what; `*` matches anything."),
            click.option("--category", type=click.Choice(get_args(AuditCategory))),
            click.option("--outcome", type=click.Choice(_OUTCOMES)),
            click.option("--since", type=_MOMENT, metavar="TIME", help="2h, 2026-11-22T08:00Z."),
            click.option("--until", type=_MOMENT, metavar="TIME", help="The same forms."),
            click.option("--run", metavar="ID", help="Of this run."),
            click.option("--session", metavar="ID", help="Of this session."),
            click.option("--okr", metavar="ID", help="Of this goal, or a run of it."),
            click.option(
                "--file",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                metavar="FILE",
                help="Read this file (a second one, say) instead of the data directory.",
            ),
            options.address,
        )
    ):
        function = option(function)
    return function


@audit.command(
    "list",
    epilog=examples(
        "codetether audit list", "codetether audit list --outcome unknown --since 7d --json"
    ),
)
@_filters
@click.option("-n", "--limit", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_entries(
    limit: int, as_json: bool, file: Path | None, address: str | None, **filters: Any
) -> int:
    """Show the newest actions, the newest last."""
    from codetether_ray.audit import query

    wanted = _query(filters)
    with _log(address, file) as folder:
        if file is None:
            found = query.newest(folder, wanted, limit)
        else:
            found = list(query.in_file(file, wanted))[-limit:]
    if as_json:
        click.echo(json.dumps([entry.data for entry in found], indent=2, ensure_ascii=False))
        return exit_codes.SUCCESS
    _print(found)
    if not found:
        click.echo("nothing of that kind was done here", err=True)
    return exit_codes.SUCCESS


@audit.command(
    "query",
    epilog=examples(
        "codetether audit query --actor alice --since 2026-11-01 --until 2026-12-01",
        "codetether audit query --category auth --json | jq -r .timestamp",
    ),
)
@_filters
@click.option("-n", "--limit", type=click.IntRange(min=1), help="Stop after so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def query_entries(
    limit: int | None, as_json: bool, file: Path | None, address: str | None, **filters: Any
) -> int:
    """Print all actions that match, oldest first, as they are found."""
    from itertools import islice

    from codetether_ray.audit import query

    wanted = _query(filters)
    with _log(address, file) as folder:
        found = query.in_file(file, wanted) if file else query.find(folder, wanted)
        chosen = islice(found, limit)
        if as_json:
            for entry in chosen:
                click.echo(json.dumps(entry.data, ensure_ascii=False))
        else:
            _print(chosen)
    return exit_codes.SUCCESS


@audit.command(
    "verify",
    epilog=examples(
        "codetether audit verify",
        "codetether audit verify --key keys/laptop.pub --key keys/node2.pub",
        "codetether audit verify --checkpoints ./from-the-archive --json",
    ),
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PUBKEYFILE",
    help="Trust this public key alone (repeatable), instead of those beside the log.",
)
@click.option(
    "--checkpoints",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Compare with checkpoints that were kept elsewhere as well.",
)
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Verify the chains in this second file instead, and compare it with the log here.",
)
@options.address
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify_log(
    keys: tuple[Path, ...],
    checkpoints: Path | None,
    file: Path | None,
    address: str | None,
    as_json: bool,
) -> int:
    """Check that nothing was altered or taken away; exit code 1 if something was.

    Names the first altered or missing line of each chain, a missing chain, a tail cut off behind a
    checkpoint, and says what it cannot see.
    """
    from codetether_ray.audit import verify
    from codetether_ray.audit.keys import read_public
    from codetether_ray.audit.second import verify_file
    from codetether_ray.bootstrap.truth.runs import RUN_TIMES

    with _source(address) as source:
        folder = source.audit(is_exact=True)
        if file is not None:
            report = verify_file(file, folder)
        else:
            report = verify.verify(
                folder,
                pinned=[read_public(path) for path in keys],
                elsewhere=verify.checkpoint_files(checkpoints) if checkpoints else (),
                runs=source.ask(RUN_TIMES),
            )
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        _tell(report)
    return exit_codes.SUCCESS if report.is_sound else exit_codes.FAILED


@audit.command(
    "retire",
    epilog=examples(
        "codetether audit retire --before 365d", "codetether audit retire --before 2026-01-01 --yes"
    ),
)
@click.option("--before", type=_MOMENT, metavar="TIME", required=True, help="365d, 2026-01-01.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def retire_chains(before: float, yes: bool, as_json: bool) -> int:
    """Take the lines of old processes away; a signed roll-up of how each ended stays.

    Only this machine's chains go, only where the whole log verifies, and, where there is an
    archive, only what it has. `audit verify` counts them as retired.
    """
    from codetether_ray.bootstrap.auditing.retire import retire_audit
    from codetether_ray.cli.words import plural

    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody can be asked here; say --yes")
        if not click.confirm("Take those lines of the audit log away for good?", err=True):
            return exit_codes.FAILED
    with _reading():
        done = retire_audit(Path.cwd(), before, time.time())
    if as_json:
        out = {"chains": done.chains, "lines": done.lines, "waiting": done.waiting}
        click.echo(json.dumps(out, indent=2))
        return exit_codes.SUCCESS
    click.echo(f"retired {plural(done.chains, 'chain')} of {plural(done.lines, 'line')}")
    if done.waiting:
        words = f"{plural(done.waiting, 'chain')} stay until the archive has them"
        click.echo(f"{words}: `codetether archive push`", err=True)
    return exit_codes.SUCCESS


command = audit


@contextmanager
def _log(address: str | None, file: Path | None) -> Iterator[Path]:
    """The data directory whose log is read; one that is not looked at is not fetched."""
    with _source(address if file is None else "local") as source:
        yield source.audit()


@contextmanager
def _source(address: str | None) -> "Iterator[Source]":
    from codetether_ray.bootstrap.truth.reading import reading
    from codetether_ray.cli.style import say

    with reading(address, say) as source, _reading():
        yield source


@contextmanager
def _reading() -> Iterator[None]:
    """Word what keeps the log from being read; nobody may take that for an empty log."""
    from codetether_ray.core.errors import AuditError

    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        words = f"the audit log cannot be read: {error.filename or ''}: {error.strerror}"
        raise AuditError(words) from error


def _query(filters: dict[str, Any]) -> "Query":
    from codetether_ray.audit.query import Query

    return Query(**filters)


def _print(found: "Iterable[Entry]") -> None:
    from codetether_ray.cli.style import paint
    from codetether_ray.cli.words import one_line

    colours = {"success": "green", "failure": "red", "denied": "red", "unknown": "yellow"}
    for entry in found:
        outcome = str(entry["outcome"])
        words = [entry["timestamp"], f"{outcome:7}", entry["principal"], entry["action"]]
        took = entry["duration_ms"]
        rest = [entry["resource"], "" if took is None else f"{took} ms"]
        line = one_line("  ".join(str(word) for word in (*words, *rest) if word), 240)
        shown = paint(outcome, colours.get(outcome, "dim"), sys.stdout)
        click.echo(line.replace(outcome, shown, 1))


def _tell(report: "Report") -> None:
    from codetether_ray.cli.words import one_line

    for finding in report.findings:
        at = "" if finding.line is None else f", line {finding.line}"
        click.echo(one_line(f"{finding.node}/{finding.chain}{at}: {finding.text}", _WIDE))
    for note in report.notes:
        click.echo(f"note: {one_line(note, _WIDE)}", err=True)
    for sentence in report.unseen:
        click.echo(f"cannot see: {sentence}", err=True)
    what = f"{report.chains} chains, {report.lines} lines, {report.checkpoints} checkpoints"
    if report.is_sound:
        click.echo(f"{what}: nothing altered, nothing missing, as far as can be seen")
    else:
        click.echo(f"{what}: {len(report.findings)} findings", err=True)
