"""Files that say how tools measure: the rules of test runners, linters and type checkers.

A new one is a change like any other: tools take the rules that are nearest, or first by name, so
that a `pytest.ini` beside a `pyproject.toml` undoes what that says.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from re import Pattern
from types import MappingProxyType

from codetether_ray.ralph.diff import FileChange

_WHOLE = re.compile(
    r"\.?pytest\.(?:ini|toml)|tox\.(?:ini|toml)|(?:site|user)customize\.py"
    r"|\.?mypy\.ini|\.?ruff\.toml|\.flake8|\.?pylintrc(?:\.toml)?|pyrightconfig\.json"
    r"|\.coveragerc|noxfile\.py|\.pre-commit-config\.yaml"
    r"|\.?clippy\.toml|\.?rustfmt\.toml|nextest\.toml|\.golangci\.(?:ya?ml|toml|json)"
    r"|\.eslintrc.*|\.eslintignore|eslint\.config\..*|tslint\.json|biome\.jsonc?"
    r"|jest\.config\..*|vitest\.(?:config|workspace)\..*|karma\.conf\..*|playwright\.config\..*"
    r"|\.mocharc.*|\.c8rc.*|\.nycrc.*"
)
"""Names of files that hold nothing but rules."""
_CONFTEST = "conftest.py"  # its fixtures may change; a new one changes tests that had none
_TOML_TABLES = r"\[tool\.(?:pytest|mypy|ruff|coverage|pyright|pylint|tox)\b"
_LINES: Mapping[str, Pattern[str]] = MappingProxyType(
    {
        "pyproject.toml": re.compile(
            r"^\s*\"?(?:addopts|testpaths|python_files|python_functions|norecursedirs|select"
            r"|extend-select|ignore|extend-ignore|per-file-ignores|exclude|extend-exclude|omit"
            r"|fail_under|filterwarnings|strict\w*|ignore_errors|ignore_missing_imports"
            rf"|disable_error_code|markers|xfail_strict)\"?\s*[=:]|^{_TOML_TABLES}"
        ),
        "package.json": re.compile(
            r'"(?:(?:pre|post)?(?:test|lint|build|typecheck|type-check|check)[\w:.-]*)"\s*:'
            r'|"(?:jest|vitest|mocha|ava|c8|nyc|eslintConfig|eslintIgnore)"\s*:\s*[\[{]'
        ),
        "tsconfig.json": re.compile(
            r'"(?:strict\w*|skipLibCheck|noEmit\w*|noUnused\w*|exclude|include|files|checkJs)"\s*:'
        ),
        "cargo.toml": re.compile(r"^\s*(?:test|bench|doctest|harness)\s*=|^\s*\[lints"),
        "setup.cfg": re.compile(
            r"^\s*(?:addopts|testpaths|python_files|ignore|exclude|omit|select|fail_under)\s*="
            r"|^\[(?:tool:pytest|flake8|mypy|coverage|pylint|tox)"
        ),
        _CONFTEST: re.compile(r"\bpytest_\w+\s*\(|\bautouse\s*=\s*True|\bcollect_ignore"),
        ".npmrc": re.compile(r"^\s*(?:script-shell|ignore-scripts|node-options)\s*="),
    }
)
"""In files that hold other things too: the lines that are rules."""
_AT_START = frozenset(
    {"package.json", "tsconfig.json", "cargo.toml", "noxfile.py", ".pre-commit-config.yaml"}
)
"""Without one nothing of its kind was measured; a new one begins a project."""


def is_rules_file(path: str) -> bool:
    """Whether a file of that name may say how something is measured."""
    name = PurePosixPath(path).name
    return bool(_WHOLE.fullmatch(name)) or _lines_of(name) is not None


def ruled(change: FileChange) -> str:
    """What a change does to how things are measured, in a sentence; empty if nothing."""
    for path in dict.fromkeys((change.renamed_to or change.path, change.path)):
        name = PurePosixPath(path).name
        is_new = change.status == "added" or path == change.renamed_to
        if is_new and name in _AT_START:
            continue
        if _WHOLE.fullmatch(name) or (is_new and name == _CONFTEST):
            return f"{path} is {'new' if is_new else 'changed'}, which says how a gate measures"
    line = _rule_line(change)
    return f"{change.path} changes how a gate measures (`{line.strip()[:60]}`)" if line else ""


def _rule_line(change: FileChange) -> str:
    name = PurePosixPath(change.renamed_to or change.path).name
    pattern = _lines_of(name)
    if pattern is None or (change.status == "added" and name.casefold() in _AT_START):
        return ""
    lines = (*change.removed, *(change.added if change.status != "deleted" else ()))
    return next((line for line in lines if pattern.search(line)), "")


def _lines_of(name: str) -> Pattern[str] | None:
    known = name.casefold()
    return _LINES.get("tsconfig.json" if re.fullmatch(r"tsconfig\..*\.json", known) else known)
