"""What Tab offers."""

from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from codetether_ray.cli.repl.commands import COMMANDS
from codetether_ray.cli.repl.completion import Known, ReplCompleter
from codetether_ray.cli.repl.help import help_lines

KNOWN = Known(
    models=lambda: ("anthropic/claude-a", "openai/gpt-b"),
    runs=lambda: (("ses_1", "fix it"), ("swm_2", "add types")),
    jobs=lambda: (("1", "add types"),),
)


def offered(folder: Path, text: str) -> list[str]:
    completer = ReplCompleter(folder, KNOWN)
    return [c.text for c in completer.get_completions(Document(text), CompleteEvent())]


def test_commands_are_completed_by_their_table(tmp_path: Path) -> None:
    assert offered(tmp_path, "/sw") == ["swarm "]
    assert offered(tmp_path, "/") == [n + " " * bool(c.arguments) for n, c in COMMANDS.items()]
    assert offered(tmp_path, "say /sw") == []


def test_arguments_are_what_the_command_takes(tmp_path: Path) -> None:
    assert offered(tmp_path, "/model anth") == ["anthropic/claude-a"]
    assert offered(tmp_path, "/resume s") == ["ses_1", "swm_2"]
    assert offered(tmp_path, "/cancel ") == ["1"]
    assert offered(tmp_path, "/okr rep") == ["report"]
    assert "--max-subagents" in offered(tmp_path, "/swarm --local --max")
    assert offered(tmp_path, "/new x") == []


def test_files_of_the_workspace_follow_an_at(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("")
    (tmp_path / ".git").mkdir()
    (tmp_path / "setup.py").write_text("")
    assert offered(tmp_path, "look at @s") == ["setup.py", "src/"]
    assert offered(tmp_path, "look at @src/m") == ["main.py"]
    assert offered(tmp_path, "me@s") == []
    assert offered(tmp_path, "@.g") == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(name: str) -> None:
    lines = help_lines(name)
    assert any(name in line for line in lines)
    assert len(lines) > 1


def test_help_lists_all_commands_and_keys() -> None:
    text = "\n".join(help_lines())
    assert all(f"/{name}" in text for name in COMMANDS)
    assert "Ctrl-C" in text
