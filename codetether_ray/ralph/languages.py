"""Which gates fit a repository, by the files at its root.

A gate is offered only where something at the root says that it would work; a person reads the
PRD before anything of it is run.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from codetether_ray.ralph.prd import GATES, QualityChecks

READ = ("pyproject.toml", "setup.cfg", "package.json", "Makefile")
"""Files whose text is looked at; of the others the name is enough."""

Files = Mapping[str, str]
"""The names at a repository's root, with the text of those in `READ` (else it is empty)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a repository is written in, and the gates that fit; "" where nothing tells."""

    language: str = ""
    checks: QualityChecks


def find_gates(files: Files) -> Found:
    """The gates of the first language whose mark is there."""
    for mark, language, gates in _LANGUAGES:
        if mark in files:
            return Found(language=language, checks=gates(files))
    return Found(checks=_make(files))


def _rust(_: Files) -> QualityChecks:
    return QualityChecks(
        typecheck="cargo check", lint="cargo clippy", test="cargo test", build="cargo build"
    )


def _go(files: Files) -> QualityChecks:
    is_linted = any(name.startswith(".golangci.") for name in files)
    return QualityChecks(
        typecheck="go vet ./...",
        lint="golangci-lint run" if is_linted else None,
        test="go test ./...",
        build="go build ./...",
    )


def _python(files: Files) -> QualityChecks:
    said = "\n".join(files.get(name, "") for name in ("pyproject.toml", "setup.cfg"))
    runner = "uv run " if "uv.lock" in files else "poetry run " if "poetry.lock" in files else ""

    def has(word: str, *names: str) -> bool:
        return re.search(rf"\b{word}\b", said) is not None or any(n in files for n in names)

    typecheck = lint = None
    if has("mypy", "mypy.ini", ".mypy.ini"):
        typecheck = f"{runner}mypy{_mypy_target(files)}"
    elif has("pyright", "pyrightconfig.json"):
        typecheck = f"{runner}pyright"
    if has("ruff", "ruff.toml", ".ruff.toml"):
        lint = f"{runner}ruff check ."
    elif has("flake8", ".flake8"):
        lint = f"{runner}flake8"
    is_pytest = has("pytest", "pytest.ini", "conftest.py")
    test = f"{runner}pytest -q" if is_pytest else f"{runner}python -m unittest discover"
    return QualityChecks(typecheck=typecheck, lint=lint, test=test)


def _mypy_target(files: Files) -> str:
    """` .`, unless the settings say what is checked."""
    try:
        settings = tomllib.loads(files.get("pyproject.toml", ""))["tool"]["mypy"]
    except (ValueError, KeyError, TypeError):
        return " ."
    return "" if {"files", "packages", "modules"} & set(settings) else " ."


def _node(files: Files) -> QualityChecks:
    scripts = _scripts(files.get("package.json", ""))
    manager = next((name for lock, name in _MANAGERS if lock in files), "npm")

    def script(*names: str) -> str | None:
        found = next((name for name in names if name in scripts), None)
        return None if found is None else f"{manager} run {found}"

    typecheck = script("typecheck", "type-check", "check-types")
    if typecheck is None and "tsconfig.json" in files:
        typecheck = "npx tsc --noEmit"
    has_tests = "no test specified" not in str(scripts.get("test", ""))
    return QualityChecks(
        typecheck=typecheck,
        lint=script("lint"),
        test=script("test") if has_tests else None,
        build=script("build"),
    )


def _scripts(text: str) -> Mapping[str, Any]:
    try:
        scripts = json.loads(text)["scripts"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return scripts if isinstance(scripts, dict) else {}


def _make(files: Files) -> QualityChecks:
    targets = set(re.findall(r"(?m)^([a-z-]+):(?!=)", files.get("Makefile", "")))
    return QualityChecks(**{gate: f"make {gate}" for gate in GATES if gate in targets})


_MANAGERS = (
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("bun.lock", "bun"),
    ("bun.lockb", "bun"),
)
_LANGUAGES: tuple[tuple[str, str, Callable[[Files], QualityChecks]], ...] = (
    ("Cargo.toml", "Rust", _rust),
    ("go.mod", "Go", _go),
    ("pyproject.toml", "Python", _python),
    ("setup.py", "Python", _python),
    ("requirements.txt", "Python", _python),
    ("package.json", "JavaScript", _node),
)
"""The mark of a language, its name, and how its gates are found; the first one wins."""
