import json

import pytest

from codetether_ray.ralph.languages import find_gates


def gates(**files: str) -> dict[str, str]:
    names = {name.replace("__", "."): text for name, text in files.items()}
    return dict(find_gates(names).checks.commands)


def test_rust_and_go_have_the_gates_of_their_tools() -> None:
    assert gates(Cargo__toml="") == {
        "typecheck": "cargo check",
        "lint": "cargo clippy",
        "test": "cargo test",
        "build": "cargo build",
    }
    assert gates(go__mod="")["test"] == "go test ./..."
    assert "lint" not in gates(go__mod="")


def test_python_has_the_gates_that_its_settings_name() -> None:
    settings = '[tool.mypy]\nfiles = ["src"]\n[tool.ruff]\n[tool.pytest.ini_options]\n'
    assert gates(pyproject__toml=settings, uv__lock="") == {
        "typecheck": "uv run mypy",
        "lint": "uv run ruff check .",
        "test": "uv run pytest -q",
    }
    assert gates(pyproject__toml='[project]\ndependencies = ["flake8", "mypy>=1"]') == {
        "typecheck": "mypy .",
        "lint": "flake8",
        "test": "python -m unittest discover",
    }
    assert gates(setup__py="") == {"test": "python -m unittest discover"}
    assert gates(pyproject__toml="not [ toml mypy")["typecheck"] == "mypy ."


def test_javascript_has_its_scripts_run_by_its_own_manager() -> None:
    scripts = {"test": "vitest", "lint": "eslint .", "build": "tsc"}
    package = json.dumps({"scripts": scripts})
    assert find_gates(
        {"package.json": package, "yarn.lock": "", "tsconfig.json": ""}
    ).checks.commands == (
        ("typecheck", "npx tsc --noEmit"),
        ("lint", "yarn run lint"),
        ("test", "yarn run test"),
        ("build", "yarn run build"),
    )
    none = json.dumps({"scripts": {"test": 'echo "Error: no test specified" && exit 1'}})
    assert gates(package__json=none) == {}


@pytest.mark.parametrize("text", ["", "[", "[]", '{"scripts": 3}', "{}"])
def test_a_package_that_cannot_be_read_has_no_gates(text: str) -> None:
    assert gates(package__json=text) == {}


def test_a_makefile_has_its_targets_and_nothing_has_none() -> None:
    assert gates(Makefile="test:\n\tpytest\nbuild :=1\nlint: x\n") == {
        "lint": "make lint",
        "test": "make test",
    }
    assert find_gates({"README.md": ""}).checks.commands == ()
