"""What Tab offers: commands, their options and arguments, and @files of the workspace."""

import importlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from codetether_ray.cli.repl.commands import COMMANDS, Command, find

_MOST = 60
"""Files that are offered at once."""
_PASSED_OVER = frozenset({".git", "node_modules", "__pycache__", ".venv"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What arguments may be, asked for when they are completed."""

    models: Callable[[], Iterable[str]]
    runs: Callable[[], Iterable[tuple[str, str]]]
    """Ids of runs, newest first, with their titles."""
    jobs: Callable[[], Iterable[tuple[str, str]]]


class ReplCompleter(Completer):
    """Completes a line of the prompt. It offers nothing in the middle of a message."""

    def __init__(self, directory: Path, known: Known) -> None:
        self._directory = directory
        self._known = known

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """What could stand at the cursor."""
        before = document.text_before_cursor
        mention = re.search(r"(?:^|\s)@([^\s@]*)$", before)
        if mention is not None:
            yield from self._paths(mention.group(1))
            return
        named = re.match(r"/([a-zA-Z]*)$", before)
        if named is not None:
            yield from _names(named.group(1))
            return
        found = re.match(r"/([a-zA-Z]+)\s+(.*)$", before, re.DOTALL)
        command = find(found.group(1).lower()) if found is not None else None
        if found is not None and command is not None:
            yield from self._arguments(command, found.group(2))

    def _arguments(self, command: Command, text: str) -> Iterator[Completion]:
        word = re.split(r"\s", text)[-1]
        if word.startswith("-"):
            if command.like:
                yield from _options(command.like, word)
            return
        if text == word:
            yield from _matching(word, ((each, "") for each in command.words))
        if command.completes in ("files", "directories"):
            yield from self._paths(word, only_folders=command.completes == "directories")
        elif command.completes:
            yield from _matching(word, self._values(command.completes))

    def _values(self, kind: str) -> Iterable[tuple[str, str]]:
        if kind == "models":
            return ((name, "") for name in self._known.models())
        return self._known.runs() if kind == "runs" else self._known.jobs()

    def _paths(self, typed: str, *, only_folders: bool = False) -> Iterator[Completion]:
        """Files below the folder that is typed so far."""
        folder, _, start = typed.rpartition("/")
        for entry in _listed(self._directory / Path(folder or ".").expanduser()):
            is_shown = start.startswith(".") or not entry.name.startswith(".")
            if not (entry.name.startswith(start) and is_shown):
                continue
            is_folder = entry.is_dir()
            if is_folder or not only_folders:
                name = entry.name + ("/" if is_folder else "")
                yield Completion(name, start_position=-len(start))


def _listed(folder: Path) -> Sequence["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name not in _PASSED_OVER]
    except OSError:
        return ()
    return sorted(found, key=lambda entry: entry.name)[: _MOST * 10]


def _names(start: str) -> Iterator[Completion]:
    low = start.lower()
    for name, command in COMMANDS.items():
        if name.startswith(low):
            more = " " if command.arguments else ""
            yield Completion(name + more, -len(start), f"/{name}", command.help)


def _matching(start: str, values: Iterable[tuple[str, str]]) -> Iterator[Completion]:
    for value, about in values:
        if value.startswith(start):
            yield Completion(value, -len(start), display_meta=about)


def _options(like: str, start: str) -> Iterator[Completion]:
    """Options of the CLI's command, with the first sentence of their help."""
    module, _, attribute = like.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            about = (option.help or "").partition(".")[0]
            names = [name for name in option.opts if name.startswith("--")]
            yield from _matching(start, ((name, about) for name in names))
