"""What `/help` says."""

import importlib

import click

from codetether_ray.cli.repl.commands import COMMANDS, Command, find, unknown

_KEYS = (
    ("Enter", "send; a line that ends with \\ goes on"),
    ("Alt-Enter", "one more line"),
    ("Tab", "complete commands, options, @files"),
    ("Ctrl-R", "search what was typed before"),
    ("Ctrl-C", "clear the line; on an empty one interrupt what is in front, twice at once"),
    ("Ctrl-D", "on an empty line leave; what goes on in the background is asked about"),
    ("@path", "attach a file to the message"),
    ("... &", "run a command in the background"),
)


def help_lines(name: str = "") -> list[str]:
    """The list of commands and keys, or one command with the options of its CLI twin."""
    if name:
        command = find(name)
        return [unknown(name)] if command is None else _one(name, command)
    rows = [(f"/{n} {c.arguments}".rstrip(), c.help) for n, c in COMMANDS.items()]
    width = max(len(left) for left, _ in (*rows, *_KEYS)) + 2
    table = [f"  {left:{width}}{right}" for left, right in rows]
    return [*table, "", *(f"  {left:{width}}{right}" for left, right in _KEYS)]


def _one(name: str, command: Command) -> list[str]:
    head = [f"/{name} {command.arguments}".rstrip(), f"  {command.help}"]
    if not command.like:
        return head
    module, _, attribute = command.like.partition(":")
    twin: click.Command = getattr(importlib.import_module(module), attribute)
    context = click.Context(twin, info_name=f"/{name}", max_content_width=100)
    return twin.get_help(context).splitlines()
