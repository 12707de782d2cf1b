"""Which files a shell command runs: they measure, so they must be what was approved."""

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise

_RUNNERS = re.compile(
    r"(?:python|pypy)[\d.]*|bash|sh|dash|zsh|node|deno|ruby|perl|php|Rscript|julia|lua"
)
_TESTERS = frozenset({"pytest", "py.test", "unittest", "jest", "vitest", "mocha", "bats"})
_WRAPPERS = frozenset(
    {"env", "time", "exec", "command", "nohup", "nice", "ionice", "timeout", "stdbuf", "sudo"}
)
_RUN_WRAPPERS = frozenset({"uv", "poetry", "pdm", "hatch", "pipenv", "npx"})
_BREAKS = frozenset(";|&()\n")
_VALUED = frozenset({"-n", "-k", "-s", "-o", "-e", "-i", "-c", "-W", "-X"})
_RULED_BY = frozenset(
    {"-c", "-p", "--config", "--config-file", "--configfile", "--rcfile", "--ini", "--project"}
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def scripts_in(command: str) -> tuple[str, ...]:
    """Paths, relative to the root, that the command may run; whether they are there is not asked.

    `./bench.sh`, `python scripts/bench.py`, `python -m tools.bench` (as `tools/bench.py` and
    `tools/bench/__main__.py`), `pytest tests/test_a.py::test_b`, `make` (its Makefile).
    """
    found: dict[str, None] = {}
    for words in _simple_commands(command):
        for path in _run_by(_unwrapped(words)):
            found[path.removeprefix("./")] = None
    return tuple(path for path in found if path and not path.startswith(("/", "../", "~")))


def names_in(command: str) -> frozenset[str]:
    """The names of files that the command may look at: they are what may be improved.

    One that it is told to go by (`ruff check --config ruff.toml`) is none of them.
    """
    return frozenset(
        word.rpartition("/")[2]
        for words in _simple_commands(command)
        for before, word in pairwise(["", *words])
        if before not in _RULED_BY
    )


def _simple_commands(command: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(command.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if word and set(word) <= _BREAKS:
                yield words
                words = []
            else:
                words.append(word)
    except ValueError:  # an unclosed quotation: the shell will say so
        pass
    yield words


def _unwrapped(words: list[str]) -> list[str]:
    rest = list(words)
    while rest:
        if _ASSIGNMENT.match(rest[0]):
            rest = rest[1:]
        elif rest[0] in _WRAPPERS:
            rest = _past_options(rest[1:])
            if rest and re.fullmatch(r"[\d.]+[smh]?", rest[0]):  # timeout's and nice's number
                rest = rest[1:]
        elif rest[0] in _RUN_WRAPPERS:
            rest = rest[2:] if rest[1:2] in (["run"], ["exec"]) else rest[1:]
            rest = _past_options(rest)
        else:
            break
    return rest


def _past_options(words: list[str]) -> list[str]:
    rest = list(words)
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in _VALUED else rest[1:]
    return rest


def _run_by(words: list[str]) -> Iterator[str]:
    if not words:
        return
    program, arguments = words[0], words[1:]
    name = program.rpartition("/")[2]
    if name == "make":
        yield from ("Makefile", "makefile", "GNUmakefile")
    elif name in _TESTERS:
        yield from _test_files(arguments)
    elif _RUNNERS.fullmatch(name):
        yield from _script_of(arguments)
    elif "/" in program:
        yield program


def _script_of(arguments: list[str]) -> Iterator[str]:
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        if rest[0] == "-c":
            return
        if rest[0] == "-m":
            yield from _module(rest[1:])
            return
        rest = rest[2:] if rest[0] in _VALUED else rest[1:]
    yield from rest[:1]


def _module(words: list[str]) -> Iterator[str]:
    if not words:
        return
    if words[0] in _TESTERS:
        yield from _test_files(words[1:])
        return
    path = words[0].replace(".", "/")
    yield from (f"{path}.py", f"{path}/__main__.py")


def _test_files(arguments: list[str]) -> Iterator[str]:
    for word in arguments:
        path = word.partition("::")[0]
        if not path.startswith("-") and re.search(r"\.\w+$", path):
            yield path
