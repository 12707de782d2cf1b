"""`codetether okr create`: an OKR that a person writes."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli import exit_codes, okr_options, options
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from codetether_ray.core.okrs import Okr, OkrRun


@click.command(
    "create",
    epilog=examples(
        "codetether okr create",
        "codetether okr create --title 'Fast search' --key-result 'p95' --target 200 "
        "--better lower --unit ms --command 'python scripts/bench.py' --parse 'regex p95=(\\d+)'",
        "codetether okr create --from objective.okr --json",
    ),
)
@click.option("-t", "--title", default="", help="The objective.")
@click.option("-d", "--description", default="", help="What it is about.")
@click.option("--key-result", default="Key Result 1", show_default=True, help="What is measured.")
@click.option("--target", type=float, default=None, help="The value that meets it.")
@click.option(
    "--better",
    type=click.Choice(["higher", "lower"]),
    default="higher",
    show_default=True,
    help="Which values are better.",
)
@click.option("--unit", default="%", show_default=True, help="Of its values.")
@click.option("--command", "measured_by", default="", metavar="SHELL", help="What measures it.")
@click.option(
    "--parse",
    default="number",
    show_default=True,
    metavar="HOW",
    help="Its value in the output: exit_status, number, `regex PATTERN`, `json PATH`.",
)
@click.option("--owner", default=None, help="Who owns it.")
@click.option(
    "--from",
    "file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default=None,
    help="Read it from a file (`-`: stdin), as JSON or as the text that `okr approve` edits.",
)
@okr_options.as_json
@options.address
def command(as_json: bool, address: str | None, **given: Any) -> int:
    """Write an OKR: by questions where nothing is given, else by options or from a file.

    It is a draft with a run that waits for approval.
    """
    from codetether_ray.bootstrap.truth.okrs import ADD
    from codetether_ray.cli.okr_words import go_on, print_okr
    from codetether_ray.okr.json_form import okr_json, run_json

    okr = _okr(given)
    if given["owner"]:
        okr = replace(okr, owner=given["owner"])
    with okr_options.opened(address) as source:
        okr_options.refuse_keys(source, okr)
        okr, run = source.ask(ADD, okr, _waiting(okr))
    if as_json:
        out = {**okr_json(okr), "run": run_json(run)}
        click.echo(json.dumps(out, indent=2, ensure_ascii=False))
        return exit_codes.SUCCESS
    print_okr(okr)
    click.echo(f"approve it: {go_on(run)}", err=True)
    return exit_codes.SUCCESS


def _waiting(okr: "Okr") -> "OkrRun":
    """A run of it that waits for approval."""
    from codetether_ray.core.okrs import OkrRun
    from codetether_ray.okr.stamps import fresh
    from codetether_ray.okr.transitions import submit

    name = time.strftime("Run %Y-%m-%d %H:%M", time.gmtime())
    return submit(OkrRun(id=fresh(""), okr_id=okr.id, name=name), okr.updated_at)


def _okr(given: dict[str, Any]) -> "Okr":
    if given["file"] is not None:
        return _from_file(given["file"])
    if given["title"]:
        return _from_options(given)
    return _asked()


def _from_options(given: dict[str, Any]) -> "Okr":
    from codetether_ray.core.errors import UsageError
    from codetether_ray.okr.draft_text import from_text
    from codetether_ray.okr.stamps import moment

    if given["target"] is None:
        raise UsageError("an OKR needs a key result: say its value with --target")
    if not given["measured_by"]:
        raise UsageError(
            "a key result needs a measure: say a command with --command, or write the OKR with "
            "`codetether okr create` on a terminal"
        )
    lines = [
        f"objective: {_flat(given['title'])}",
        *(f"  {line}" for line in given["description"].splitlines()),
        f"key result: {_flat(given['key_result'])}",
        f"  target: {given['target']!r}",
        f"  better: {given['better']}",
        f"  unit: {_flat(given['unit'])}",
        "  measure: command",
        f"  command: {_flat(given['measured_by'])}",
        f"  parse: {_flat(given['parse'])}",
    ]
    return from_text("\n".join(lines), now=moment(time.time()))


def _from_file(file: Path) -> "Okr":
    from codetether_ray.core.errors import UsageError
    from codetether_ray.okr.draft_text import from_text
    from codetether_ray.okr.rules import read_okr
    from codetether_ray.okr.stamps import fresh, moment

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--from {file}: {error}") from None
    if not text.lstrip().startswith("{"):
        return from_text(text, now=moment(time.time()))
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--from {file}: it is not JSON: {error}") from None
    return read_okr(data, fresh, moment(time.time()))


def _asked() -> "Okr":
    """By questions on a terminal."""
    from codetether_ray.core.errors import DecisionNeededError

    if not sys.stdin.isatty():
        raise DecisionNeededError(
            "nobody can be asked here (there is no terminal): say the OKR by --title or --from"
        )
    from codetether_ray.cli.okr_questions import ask_for_okr

    return ask_for_okr()


def _flat(text: str) -> str:
    return " ".join(text.split())
