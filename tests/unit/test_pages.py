"""What the pages say of files and commands is there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from codetether_ray.cli.commands import COMMANDS
from codetether_ray.cli.main import root

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "AGENTS.md", "SECURITY.md")),
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("examples/**/README.md")),
]
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_PATH = re.compile(r"`((?:tests|scripts|codetether_ray|examples|deploy|docs)/[\w./-]+)`")
_BLOCK = re.compile(r"^[ ]*```\w*\n(.*?)^[ ]*```", re.M | re.S)
_SPOKEN = re.compile(r"`(codetether [^`]+)`")
_END = {"&", "|", ">", "<", ">>", "&&", ";", "2>&1"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_and_path_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    links = [page.parent / link for link in _LINK.findall(text) if "://" not in link]
    paths = [ROOT / path for path in _PATH.findall(text)]
    assert [str(path) for path in (*links, *paths) if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_and_option_exists(page: Path) -> None:
    assert [line for line in commands_in(page.read_text()) if not is_known(line)] == []


def test_the_index_lists_every_page() -> None:
    listed = set(_LINK.findall((ROOT / "docs" / "README.md").read_text()))
    pages = {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/*/*.md")}
    assert pages - listed == set()


def test_commands_are_listed_by_their_names() -> None:
    assert list(COMMANDS) == sorted(COMMANDS)


def commands_in(text: str) -> Iterator[str]:
    for block in _BLOCK.findall(text):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            typed = line.strip().removeprefix("$ ")
            if typed.startswith("codetether "):
                yield typed.partition(" # ")[0]
    for said in _SPOKEN.findall(_BLOCK.sub("", text)):
        yield " ".join(said.split())


def is_known(line: str) -> bool:
    """Whether the command is there and has each option; values are not looked at."""
    words = shlex.split(line, comments=True)[1:]
    end = next((at for at, word in enumerate(words) if word in _END), len(words))
    return all(is_command(root, each) for each in alternatives(words[:end]))


def alternatives(words: list[str]) -> Iterator[list[str]]:
    """`okr list|status` is two commands."""
    at = next(
        (at for at, word in enumerate(words) if re.fullmatch(r"[a-z-]+(\|[a-z-]+)+", word)), -1
    )
    if at < 0:
        yield words
        return
    for choice in words[at].split("|"):
        yield [*words[:at], choice, *words[at + 1 :]]


def is_command(group: click.Group, words: list[str]) -> bool:
    context = click.Context(group)
    if not words or words[0].startswith("-") or words[0] == "…":
        return True
    command = group.get_command(context, words[0])
    if command is None:
        return False
    if isinstance(command, click.Group):
        return is_command(command, words[1:])
    try:
        command.make_parser(click.Context(command, **command.context_settings)).parse_args(
            words[1:]
        )
    except click.UsageError:
        return False
    return True
