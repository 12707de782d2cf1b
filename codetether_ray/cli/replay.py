"""`codetether replay`: a run as it happened, verified, or as a page."""

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli import exit_codes
from codetether_ray.cli import options as cli_options
from codetether_ray.cli.examples import examples
from codetether_ray.core.errors import UsageError

if TYPE_CHECKING:
    from codetether_ray.bootstrap.truth.reading import Source
    from codetether_ray.replay.verdict import Verdict

_OFFSET = click.IntRange(min=0)


@click.command(
    "replay",
    epilog=examples(
        "codetether replay swm_0mbx1c2d3e_5f60718a",
        "codetether replay 5f60718a --kind tool --agent sub/tests",
        "codetether replay RUN --json --from 104233 | jq .kind",
        "codetether replay --session ses_0mbx1c2d3e_5f60718a",
        "codetether replay RUN --html run.html",
        "codetether replay --verify --all",
    ),
)
@click.argument("run", required=False)
@click.option("--from", "start", type=_OFFSET, default=0, metavar="OFFSET", help="Begin here.")
@click.option("--until", type=_OFFSET, metavar="OFFSET", help="End before this offset.")
@click.option(
    "--kind", "kinds", multiple=True, metavar="KIND", help="Only these: `tool.started`, `model`, …"
)
@click.option("--agent", default="", metavar="PATH", help="Only this agent and its children.")
@click.option("--session", metavar="RUN", help="Rebuild a session: its messages, as a model sees.")
@click.option("--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--full", is_flag=True, help="Print long texts to their end.")
@click.option("--verify", is_flag=True, help="Check the run and decide all of it again.")
@click.option("--all", "everything", is_flag=True, help="With --verify: every run.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write one page that opens without a network.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a line a record, as stored.")
@cli_options.address
def replay(
    run: str | None, session: str | None, verify: bool, everything: bool, **options: Any
) -> int:
    """Show a run as it happened: every message, model call, tool call, wait and merge.

    RUN is a run's id, or enough of its beginning or end to tell it apart. Offsets are bytes of
    the run's stream; each JSON line carries its own (`off`).

    --verify checks three things and reports them apart: the bytes (integrity), whether the
    records fit together (protocol), and whether the program's rules decide what is recorded
    (decisions). No model is asked. It tells a tampered run from one that other rules decided.
    """
    from codetether_ray.bootstrap.truth.reading import reading
    from codetether_ray.cli.style import say

    address = options.pop("address")
    _check_options(session=session, verify=verify, everything=everything, **options)
    with reading(address, say) as source:
        if everything:
            if run or session:
                raise UsageError("--all is every run; name none, or leave --all out")
            return _verify(source, source.runs(), as_json=options["as_json"])
        named = run or session
        if not named or (run and session):
            raise UsageError("name one run; `codetether runs` lists them")
        run_id = source.find(named)
        if verify:
            return _verify(source, (run_id,), as_json=options["as_json"])
        if options["html"] is not None:
            return _page(source, run_id, options["html"])
        if session:
            return _session(source, run_id, options["agent"], as_json=options["as_json"])
        return _print(source, run_id, **options)


_WHOLE = ("start", "until", "kinds", "agent", "follow", "full")
"""What chooses or shapes records; a verification and a page are of the whole run."""


def _check_options(*, session: str | None, verify: bool, everything: bool, **options: Any) -> None:
    """Refuse what would be passed over in silence.

    Raises:
        UsageError: options do not go together.
    """
    if everything and not verify:
        raise UsageError("--all belongs to --verify")
    one = "--verify" if verify else "--html" if options["html"] else "--session" if session else ""
    if not one:
        until = options["until"]
        if until is not None and until <= options["start"]:
            raise UsageError("--until is not behind --from, so that nothing is between them")
        return
    unused = [name for name in _WHOLE if options[name] and (one, name) != ("--session", "agent")]
    unused += ["html"] if verify and options["html"] else []
    unused += ["as_json"] if one == "--html" and options["as_json"] else []
    if unused:
        named = ", ".join(_SPELT.get(name, f"--{name}") for name in unused)
        raise UsageError(f"{one} has no use for {named}; leave one of them out")


_SPELT = {"start": "--from", "kinds": "--kind", "as_json": "--json"}


def _print(
    source: "Source",
    run_id: str,
    *,
    start: int,
    until: int | None,
    kinds: tuple[str, ...],
    agent: str,
    follow: bool,
    full: bool,
    as_json: bool,
    html: Path | None,
) -> int:
    """The records, one after another."""
    from codetether_ray.bootstrap.replay import (
        Selection,
        check_kinds,
        followed,
        lines_of,
        nothing_found,
        record_of,
    )
    from codetether_ray.replay.text import block, day

    selection = Selection(start=start, until=until, kinds=check_kinds(kinds), agent=agent)
    folder, fetch = source.run(run_id), source.fetch
    if follow:
        again = partial(_look_again, source, run_id)
        found = followed(folder, run_id, selection, fetch=fetch, sleep=again)
    else:
        found = lines_of(folder, run_id, selection, fetch=fetch)
    today, is_empty = "", True
    for line in found:
        is_empty = False
        if as_json:
            _write(line.raw.decode().removesuffix("\n"))
        else:
            record = record_of(folder, run_id, line, fetch=fetch)
            if day(record) != today:
                today = day(record)
                _write(today)
            _write(block(record, lines=None if full else 12))
        if follow:
            sys.stdout.flush()
    if is_empty:
        click.echo(nothing_found(folder, run_id, selection, fetch=fetch), err=True)
    return exit_codes.SUCCESS


def _look_again(source: "Source", run_id: str, pause_s: float) -> None:
    """Wait a moment, then have what was recorded meanwhile."""
    time.sleep(pause_s)
    source.run(run_id)


def _session(source: "Source", run_id: str, agent: str, *, as_json: bool) -> int:
    """The messages of one agent."""
    from codetether_ray.bootstrap.replay import session_of
    from codetether_ray.core.codec import encode
    from codetether_ray.replay.text import conversation, harmless

    known = session_of(source.run(run_id), run_id, agent, fetch=source.fetch)
    if as_json:
        messages = [encode(message) for message in known.messages]
        _write(json.dumps(messages, indent=2, ensure_ascii=False))
        return exit_codes.SUCCESS
    _write(f"[system]\n{harmless(known.system)}".replace("\n", "\n    ").rstrip())
    for text in conversation(known.messages):
        _write(text)
    return exit_codes.SUCCESS


def _page(source: "Source", run_id: str, file: Path) -> int:
    from codetether_ray.bootstrap.page import write_page
    from codetether_ray.cli.reading import progress

    with progress(run_id) as told:
        size = write_page(source.run(run_id), run_id, file, source.fetch, progress=told)
    click.echo(f"{file}: {size / 1024:.0f} kB; open it in any browser", err=True)
    return exit_codes.SUCCESS


def _verify(source: "Source", run_ids: tuple[str, ...], *, as_json: bool) -> int:
    """Verify runs; 1 if one of them departs."""
    from codetether_ray.audit.witness import journal_heads
    from codetether_ray.bootstrap.verify import verify_run
    from codetether_ray.cli.reading import progress

    is_ok, fetch = True, source.fetch
    if run_ids:
        source.audit(is_exact=True)  # whose lines witness how journals ended
    for number, run_id in enumerate(run_ids, 1):
        what = f"{number} of {len(run_ids)}: " if len(run_ids) > 1 else ""
        folder = source.run(run_id, is_exact=True)
        with progress(f"{what}{run_id}") as told:
            verdict = verify_run(folder, run_id, witness=journal_heads, fetch=fetch, progress=told)
        is_ok = is_ok and verdict.is_ok
        if as_json:
            _write(json.dumps(verdict.to_json(), ensure_ascii=False))
        else:
            _tell(verdict)
    if not run_ids:
        click.echo("no runs yet; `codetether run` and `codetether swarm` make them", err=True)
    return exit_codes.SUCCESS if is_ok else exit_codes.FAILED


def _tell(verdict: "Verdict") -> None:
    from codetether_ray.cli.style import paint
    from codetether_ray.replay.text import harmless
    from codetether_ray.replay.verdict import LEVELS

    colour = "green" if verdict.is_ok else "yellow" if verdict.status in _UNDECIDED else "red"
    status = paint(_WORDS[verdict.status], colour, sys.stdout)
    _write(f"{verdict.run_id}  {status}")
    counted = f"{verdict.records} records of {verdict.agents} agents"
    _write(f"    {counted}, {verdict.decisions} decisions taken again")
    for level in LEVELS:
        found = verdict.of_level(level)
        _write(f"    {level:9}  {'right' if found is None else harmless(found.sentence())}")
    for note in verdict.notes:
        _write(f"    note: {harmless(note)}")


_UNDECIDED = ("newer code", "unread")
_WORDS = {
    "verified": "verified",
    "unfinished": "right as far as it went; the run has no end",
    "unread": "NOT READ TO ITS END: the archive holds the rest and could not be asked",
    "damaged": "DAMAGED",
    "tampered": "NOT WHAT WAS RECORDED: damaged or tampered with",
    "newer code": "decided by other rules than this program's",
}


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")


command = replay
