"""The gate at a terminal: a draft is shown, and somebody approves, denies or edits it."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from codetether_ray.core.errors import DecisionNeededError, InvalidOkrError

if TYPE_CHECKING:
    from codetether_ray.core.okrs import Okr


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What somebody said; `okr` is what they said it to, edited or as it was shown."""

    kind: Literal["approve", "deny"]
    okr: "Okr"
    reason: str = ""
    """Of a denial: why, or what is wanted instead; empty for nothing more."""
    is_edited: bool = False


def ask(okr: "Okr") -> Answer:
    """Show a draft and ask, on stderr, until it is answered.

    Raises:
        DecisionNeededError: nobody is there, or input ended.
    """
    if not sys.stdin.isatty():
        raise DecisionNeededError("nobody can be asked here: there is no terminal")
    is_edited = False
    show(okr)
    while True:
        said = _read("[a]pprove, [d]eny or [e]dit? ").strip().lower()
        if said in ("a", "approve", "y", "yes"):
            return Answer(kind="approve", okr=okr, is_edited=is_edited)
        if said in ("d", "deny", "n", "no"):
            why = _read("Why, or what instead? (empty: give it up) ").strip()
            return Answer(kind="deny", okr=okr, reason=why, is_edited=is_edited)
        if said in ("e", "edit"):
            edited = edit(okr)
            is_edited = is_edited or edited != okr
            okr = edited
            show(okr)


def show(okr: "Okr") -> None:
    """All that would be approved, on stderr: stdout may be another program's."""
    from contextlib import redirect_stdout

    from codetether_ray.cli.okr_words import print_okr_whole

    with redirect_stdout(sys.stderr):
        print_okr_whole(okr)


def edit(okr: "Okr") -> "Okr":
    """The draft as somebody edits it in their editor; as it was where they leave it so.

    What they wrote is never lost: until it makes sense, they get it back with what is wrong.
    """
    from codetether_ray.okr.draft_text import from_text, to_text

    text = to_text(okr)
    while True:
        found = click.edit(text, extension=".okr")
        if found is None or not _says_something(found):
            return okr
        try:
            return from_text(found, okr)
        except InvalidOkrError as error:
            click.echo(f"codetether: {error}", err=True)
            text = f"# {' '.join(str(error).split())}\n{_without_problem(found)}"
            if not _read("Edit it again? [Y/n] ").strip().lower().startswith("n"):
                continue
            return okr


def _says_something(text: str) -> bool:
    return any(line.strip() and not line.startswith("#") for line in text.splitlines())


def _without_problem(text: str) -> str:
    """The text without the complaint that an earlier round put at its head."""
    first, _, rest = text.partition("\n")
    return rest if first.startswith("# line ") else text


def _read(question: str) -> str:
    """A line from the terminal.

    Raises:
        DecisionNeededError: input ended.
    """
    sys.stderr.write(question)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        sys.stderr.write("\n")
        raise DecisionNeededError("input ended before it was answered; nothing was decided")
    return line
