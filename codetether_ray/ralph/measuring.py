"""Whether a change weakens what it is measured by: tests gone or skipped, gates configured anew.

A pure question about a diff. What a story names (a file's path or name in its title, description
or criteria) it may change. It errs on the side of the measure: a test that was renamed is gone,
unless the story says so; the agent is told, and tries again.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from re import Pattern
from types import MappingProxyType

from codetether_ray.ralph.diff import FileChange, read_diff
from codetether_ray.ralph.prd import Story
from codetether_ray.ralph.rule_files import ruled

_MOST = 8  # problems told of

_PYTHON, _RUST, _SCRIPT, _GO = "python", "rust", "script", "go"
_LANGUAGES: Mapping[str, str] = MappingProxyType(
    {
        ".py": _PYTHON,
        ".rs": _RUST,
        ".go": _GO,
        **dict.fromkeys((".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".cts"), _SCRIPT),
    }
)
_TESTS: Mapping[str, Pattern[str]] = MappingProxyType(
    {
        _PYTHON: re.compile(r"^\s*(?:async\s+)?def\s+(test\w*)\s*\(|^class\s+(Test\w*)\b"),
        _RUST: re.compile(r"^\s*#\[(?:\w+::)*(test|rstest|test_case|proptest)\b"),
        _SCRIPT: re.compile(r"^\s*(?:it|test|describe)(?:\.each\([^)]*\))?\(\s*(['\"`].*?['\"`])"),
        _GO: re.compile(r"^func\s+((?:Test|Benchmark|Fuzz|Example)\w*)\s*\("),
    }
)
"""A line that declares a test; its name where it has one on that line."""
_SKIPS: Mapping[str, Pattern[str]] = MappingProxyType(
    {
        _PYTHON: re.compile(
            r"\bmark\.(?:skip|skipif|xfail)\b|\bpytest\.(?:skip|xfail|importorskip)\s*\("
            r"|\bunittest\.(?:skip|expectedFailure)|@(?:skip|skipIf|skipUnless|expectedFailure)\b"
            r"|\.skipTest\s*\(|\bSkipTest\b|\b__test__\s*=\s*False"
        ),
        _RUST: re.compile(r"#\[(?:cfg_attr\(.*\bignore\b|ignore\b)|#!\[cfg\(any\(\)\)\]"),
        _SCRIPT: re.compile(
            r"\b(?:it|test|describe|context|suite)\.(?:skip|only|todo|failing|fixme)\b"
            r"|\b(?:xit|xtest|xdescribe|fit|fdescribe)\s*\("
        ),
        _GO: re.compile(r"\.Skip(?:f|Now)?\(|^//go:build\s+ignore"),
    }
)
_HOOKS = re.compile(r"\b(?:collect_ignore|pytest_collection_modifyitems|pytest_ignore_collect)\b")
_RUNNERS: Mapping[str, Pattern[str]] = MappingProxyType(
    {
        "make": re.compile(r"^(?:GNU)?[Mm]akefile$"),
        "gmake": re.compile(r"^(?:GNU)?[Mm]akefile$"),
        "just": re.compile(r"^\.?[Jj]ustfile$"),
        "task": re.compile(r"^[Tt]askfile\.ya?ml$"),
        "nox": re.compile(r"^noxfile\.py$"),
        "pre-commit": re.compile(r"^\.pre-commit-config\.yaml$"),
        "rake": re.compile(r"^[Rr]akefile$"),
    }
)
"""Commands that run what a file of the repository says, new ones included."""


def weakened(diff: str, story: Story, commands: Sequence[str] = ()) -> tuple[str, ...]:
    """A sentence for each way in which a diff weakens what measures it; none where it does not.

    `commands` are the gates: a file that one of them names is a measure as it stands.
    """
    changes = [change for change in read_diff(diff) if not _is_named(change, story)]
    found = [*_gone(changes), *_skipped(changes), *_configured(changes, commands)]
    unique = tuple(dict.fromkeys(found))
    more = len(unique) - _MOST
    return (*unique[:_MOST], f"and {more} more of the kind") if more > 0 else unique


def _is_named(change: FileChange, story: Story) -> bool:
    """Whether the story speaks of the file, by its path or its name."""
    words = "\n".join((story.title, story.description, *story.acceptance_criteria)).casefold()
    paths = (change.path, change.renamed_to)
    names = {n.casefold() for p in paths if p for n in (p, PurePosixPath(p).name)}
    return any(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", words) for name in names)


# -- tests ----------------------------------------------------------------------------------------


def _gone(changes: Sequence[FileChange]) -> Iterator[str]:
    """Tests that were declared before and are not any more, wherever they might have gone."""
    came = Counter(test for change in changes for test in _declared(change, change.added))
    for change in changes:
        if change.status == "deleted" and is_test_file(change.path):
            lost = [t for t in _declared(change, change.removed) if not _take(came, t)]
            if lost or not _declared(change, change.removed):
                yield f"{change.path} is removed, which holds tests"
            continue
        for kind, name in _declared(change, change.removed):
            if not _take(came, (kind, name)):
                what = f"the test {name}" if name and kind != _RUST else "a test"
                yield f"{change.path} loses {what}"


def _take(came: Counter[tuple[str, str]], test: tuple[str, str]) -> bool:
    if not came[test]:
        return False
    came[test] -= 1
    return True


def _declared(change: FileChange, lines: Sequence[str]) -> list[tuple[str, str]]:
    """The tests that lines of a file declare; Rust's by their attribute, for they are nameless."""
    kind = _language(change)
    if not kind or (kind in (_PYTHON, _SCRIPT, _GO) and not _is_of_tests(change)):
        return []
    found = (_TESTS[kind].match(line) for line in lines)
    return [(kind, next((g for g in m.groups() if g), "")) for m in found if m]


def _skipped(changes: Sequence[FileChange]) -> Iterator[str]:
    for change in changes:
        kind = _language(change)
        if not kind or change.status == "deleted" or not _is_of_tests(change):
            continue
        if any(_HOOKS.search(line) for line in change.added):
            yield f"{change.path} changes which tests are collected"
        if change.status == "added":
            continue  # tests of its own, which nobody had approved
        skips = _matches(_SKIPS[kind], change.added) - _matches(_SKIPS[kind], change.removed)
        if skips > 0:
            yield f"{change.path} skips tests, or lets them fail"


def _matches(pattern: Pattern[str], lines: Sequence[str]) -> int:
    return sum(bool(pattern.search(line)) for line in lines)


def is_test_file(path: str) -> bool:
    """Whether a file holds tests, by its name and place."""
    place = PurePosixPath(path)
    name, above = place.name, {part.casefold() for part in place.parts[:-1]}
    if above & {"tests", "test", "__tests__", "spec"} and place.suffix in _LANGUAGES:
        return True
    return bool(
        re.fullmatch(
            r"test_.*\.py|.*_test\.py|conftest\.py|.*_test\.go|.*\.(?:test|spec)\.[cm]?[jt]sx?",
            name,
        )
    )


def _is_of_tests(change: FileChange) -> bool:
    """Rust keeps tests beside the code, so that any of its files may hold some."""
    return _language(change) == _RUST or is_test_file(change.path)


def _language(change: FileChange) -> str:
    return _LANGUAGES.get(PurePosixPath(change.path).suffix, "")


# -- gates ----------------------------------------------------------------------------------------


def _configured(changes: Sequence[FileChange], commands: Sequence[str]) -> Iterator[str]:
    runs = {PurePosixPath(word).name for word in _words(commands)}
    for change in changes:
        name = PurePosixPath(change.renamed_to or change.path).name
        by_name = any(rule.match(name) for runner, rule in _RUNNERS.items() if runner in runs)
        if by_name or (change.status != "added" and _is_run(change.path, commands)):
            yield f"{change.path} is changed, which a gate runs"
        elif problem := ruled(change):
            yield problem
        elif change.status == "added" and _is_instead(change.path, commands):
            yield f"{change.path} is new, and would be run instead of the gate's own module"


def _is_run(path: str, commands: Sequence[str]) -> bool:
    """Whether a gate's command names the file itself (its code; what is tested is no measure)."""
    if PurePosixPath(path).suffix in (".py", ".rs", ".go") and is_test_file(path):
        return False  # tests may grow; what they lose is looked for line by line
    return any(word.removeprefix("./") == path for word in _words(commands))


def _words(commands: Sequence[str]) -> Iterator[str]:
    """The words of gates' commands, roughly as a shell has them."""
    for command in commands:
        for word in re.split(r"[\s;&|()]+", command):
            yield word.strip("'\"")


def _is_instead(path: str, commands: Sequence[str]) -> bool:
    """Whether a new file has the name of a module that a gate runs: Python takes it first."""
    modules = re.findall(r"\s-m\s+([A-Za-z_]\w*)", "\n".join(commands))
    return any(path in (f"{name}.py", f"{name}/__init__.py") for name in modules)
