"""The root command: lazy commands, and errors as exit codes with one sentence."""

import subprocess
import sys

import click
import pytest

from codetether_ray import __version__
from codetether_ray.cli import main
from codetether_ray.cli.commands import COMMANDS
from codetether_ray.core.errors import (
    CodetetherError,
    CredentialsError,
    DecisionNeededError,
    NoModelError,
    UsageError,
)


def ending_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """Run a command that raises `error`."""

    @click.command("models")
    def failing() -> None:
        raise error

    monkeypatch.setattr(main.LazyGroup, "get_command", lambda *_: failing)
    return main.run(["models"])


def test_the_version_is_printed_without_click() -> None:
    code = "import sys; sys.argv = ['codetether', '--version']\n"
    code += "from codetether_ray.__main__ import main; main()\n"
    code += "print('click' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"codetether {__version__}\nFalse\n"


def test_help_lists_every_command_and_imports_none() -> None:
    code = "import sys; from codetether_ray.cli.main import run; code = run(['--help'])\n"
    code += "print(code, [m for m in sys.modules if m in ('ray', 'aiohttp', 'rich', 'pydantic',"
    code += " 'asyncio', 'prompt_toolkit') or"
    code += " m.startswith(('codetether_ray.bootstrap', 'codetether_ray.cli.r'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *text, last = done.stdout.splitlines()
    assert last == "0 []"
    assert {line.split()[0] for line in text if line.startswith("  ")} >= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_can_be_asked_for_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([name, "--help"]) == 0
    assert f"codetether {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CodetetherError("it broke"), 1),
        (UsageError("these two exclude each other"), 2),
        (DecisionNeededError("nobody to ask"), 3),
        (NoModelError(), 4),
        (CredentialsError("anthropic", "no key"), 4),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
)
def test_an_error_ends_with_its_code_and_one_sentence(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ending_with(monkeypatch, error) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip().startswith("codetether: ")
    assert captured.err.strip().count("\n") == 0


def test_an_unexpected_error_is_one_sentence_and_its_traceback_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending_with(monkeypatch, ZeroDivisionError("oh\nno")) == 1
    err = capsys.readouterr().err
    assert err.startswith("codetether: unexpected ZeroDivisionError: oh (")
    path = err.rsplit("traceback: ", 1)[1].removesuffix(")\n")
    with open(path) as file:  # noqa: PTH123
        assert "Traceback" in file.read()


@pytest.mark.parametrize("line", [["nonsense"], ["--nonsense"], [], ["completion", "tcsh"]])
def test_wrong_usage_ends_with_2(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(line) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["completion", shell]) == 0
    assert "_CODETETHER_COMPLETE" in capsys.readouterr().out


def test_completing_a_command_name_imports_no_command() -> None:
    group = main.root
    context = click.Context(group)
    assert isinstance(group, main.LazyGroup)
    names = [item.value for item in group.shell_complete(context, "c")]
    assert names == ["cancel", "cleanup", "completion", "config", "context"]
