"""What a typed line means, as pure functions: a message, a command, with which options."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click

from codetether_ray.core.ids import is_run_id

_MENTION = re.compile(r"(?<!\S)@(\"[^\"]+\"|\S+)")
_TRAILING = ".,;:!?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that was entered. `command` is empty for a message."""

    text: str
    """The message; of a command what stands behind its name."""
    command: str = ""
    in_background: bool = False


def parse(typed: str) -> Line:
    """Read a line: `/name rest`, `/name rest &`, or a message.

    `?` alone asks for help; a path like `/etc/hosts is wrong` is a message.
    """
    text = typed.strip()
    if text in ("?", "/?", "/"):
        return Line(command="help", text="")
    found = re.match(r"/([a-zA-Z]+)(?:\s+|$)", text)
    if found is None:
        return Line(text=text)
    rest, in_background = text[found.end() :].strip(), False
    if re.search(r"(?:^|\s)&$", rest):
        rest, in_background = rest[:-1].strip(), True
    return Line(command=found.group(1).lower(), text=rest, in_background=in_background)


def goes_on(typed: str) -> bool:
    """Whether Enter asks for one more line: the line ends with an odd number of backslashes."""
    return (len(typed) - len(typed.rstrip("\\"))) % 2 == 1


def split_options(text: str, command: click.Command) -> tuple[list[str], str]:
    """The options at the head of `text`, as words, and the text behind them, as it stands.

    A task may hold quotes and apostrophes; only what belongs to options is read as words.

    Raises:
        click.UsageError: a quote of an option's value is not closed.
    """
    takes, may_take = _value_options(command)
    words: list[str] = []
    rest = text.lstrip()
    while rest.startswith("-") and rest[1:2].strip():
        word, rest = _word(rest)
        if word == "--":
            break
        words.append(word)
        if rest and (word in takes or (word in may_take and is_run_id(rest.split()[0]))):
            value, rest = _word(rest)
            words.append(value)
    return words, rest


def _value_options(command: click.Command) -> tuple[frozenset[str], frozenset[str]]:
    """Spellings of the options that take the next word as their value, and of those that may."""
    takes: set[str] = set()
    may_take: set[str] = set()
    for option in command.params:
        if isinstance(option, click.Option) and not (option.is_flag or option.count):
            is_optional = option.flag_value is not None and option.name == "resume"
            (may_take if is_optional else takes).update(option.opts, option.secondary_opts)
    return frozenset(takes), frozenset(may_take)


def _word(text: str) -> tuple[str, str]:
    """The first word, without its quotes, and what follows it."""
    found = re.match(r"(?:[^\s\"']+|\"(?:[^\"\\]|\\.)*\"|'[^']*')+(?=\s|$)", text)
    if found is None:
        raise click.UsageError(f"a quote is not closed: {text[:60]}")
    return "".join(shlex.split(found.group())), text[found.end() :].lstrip()


def mentioned(text: str, directory: Path) -> tuple[Path, ...]:
    """The files that a message names by `@path`, each once; names of nothing are only words."""
    found: dict[Path, None] = {}
    for name in _MENTION.findall(text):
        for spelling in (name.strip('"'), name.strip('"').rstrip(_TRAILING)):
            path = directory / Path(spelling).expanduser()
            if spelling and path.is_file():
                found[path] = None
                break
    return tuple(found)
