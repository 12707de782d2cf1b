"""What a capable model would say to the two agents that work `prd.json` off, step by step.

It was written by hand. Everything around it is real: files are written and edited, gates run, git
merges. In the first story the first try misses what its gate then tells.
"""

from typing import Any

from codetether_ray.testing.model_server import ModelCall, Reply, calls, fail

Step = tuple[str, list[tuple[str, dict[str, Any]]]]

_CHECKLIST = '''"""A PRD as a checklist in Markdown, for people to paste into an issue."""

from codetether_ray.ralph.planning import waiting
from codetether_ray.ralph.prd import Prd


def checklist(prd: Prd) -> str:
    """The feature as a heading, then a line for each story in file order."""
    waits = waiting(prd)
    lines = [f"## {_one_line(prd.feature)} ({len(prd.passed)}/{len(prd.stories)})", ""]
    for story in prd.stories:
        box = "x" if story.passes else " "
        after = f" (after {', '.join(waits[story.id])})" if story.id in waits else ""
        lines.append(f"- [{box}] {story.id}: {_one_line(story.title)}{after}")
    return "\\n".join(lines) + "\\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())
'''

_TEST = """from codetether_ray.ralph.checklist import checklist
from codetether_ray.ralph.prd import Prd, Story


def test_a_story_is_a_line_with_what_it_waits_for() -> None:
    stories = (
        Story(id="A", title="The\\nstart", passes=True),
        Story(id="B", title="Middle", depends_on=("A",)),
        Story(id="C", title="End", depends_on=("A", "B")),
    )
    assert checklist(Prd(project="p", feature="All of it", stories=stories)) == (
        "## All of it (1/3)\\n\\n- [x] A: The start\\n- [ ] B: Middle\\n- [ ] C: End (after B)\\n"
    )
"""

_CLI_TEST = """import json
from pathlib import Path

import pytest

from codetether_ray.cli.main import run


@pytest.fixture
def path(tmp_path: Path) -> str:
    stories = [{"id": "A", "title": "One", "description": ""}]
    prd = {"project": "p", "feature": "f", "user_stories": stories}
    place = tmp_path / "prd.json"
    place.write_text(json.dumps(prd))
    return str(place)


def test_markdown_is_the_checklist_and_nothing_else(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ralph", "status", "-p", path, "--markdown"]) == 0
    assert capsys.readouterr().out == "## f (0/1)\\n\\n- [ ] A: One\\n"


def test_two_forms_at_once_are_refused(path: str) -> None:
    assert run(["ralph", "status", "-p", path, "--markdown", "--json"]) == 2
"""

_STATUS = "codetether_ray/cli/ralph_status.py"
_EDIT = r"""
import re
from pathlib import Path

place = Path("codetether_ray/cli/ralph_status.py")
text = place.read_text()
for old, new in (
    (
        r'("codetether ralph status",\n)',
        r'\1        "codetether ralph status --markdown",' + "\n",
    ),
    (
        r'(@click.option\("--json", "as_json"[^\n]*\n)',
        r'\1@click.option("--markdown", is_flag=True, help="Print a Markdown checklist.")' + "\n",
    ),
    (r"(def status\([^)]*?),?(\n?)\) -> int:", r"\1, markdown: bool\2) -> int:"),
    (
        r"( +)(text = read_prd_file\(path\)\n)",
        r"\1\2\1if markdown:\n"
        r"\1    return _checklist(text.prd, as_json=as_json)\n",
    ),
    (
        r"\ncommand = status\n",
        '\ncommand = status\n\n\ndef _checklist(prd: "Prd", *, as_json: bool) -> int:\n'
        "    from codetether_ray.ralph.checklist import checklist\n\n"
        "    if as_json:\n"
        '        raise click.UsageError("--markdown and --json exclude each other; give one")\n'
        "    click.echo(checklist(prd), nl=False)\n"
        "    return exit_codes.SUCCESS\n",
    ),
):
    text, count = re.subn(old, new, text, count=1)
    assert count == 1, old
place.write_text(text)
"""


def _write(path: str, content: str) -> tuple[str, dict[str, Any]]:
    return "write_file", {"path": path, "content": content}


def _bash(command: str) -> tuple[str, dict[str, Any]]:
    return "bash", {"command": command}


CONVERSATION: dict[str, list[list[Step]]] = {
    "DF-001": [
        [
            (
                "planning.py tells what waits for what; the rest is words.",
                [
                    _write(
                        "codetether_ray/ralph/checklist.py",
                        _CHECKLIST.replace("_one_line(story.title)", "story.title"),
                    ),
                    _write("tests/unit/ralph/test_checklist.py", _TEST),
                ],
            ),
            ("checklist(prd) is there, with a test.\nSTORY_COMPLETE: DF-001", []),
        ],
        [
            (
                "The gate shows the line break in a title. All of it again, with that mended.",
                [
                    _write("codetether_ray/ralph/checklist.py", _CHECKLIST),
                    _write("tests/unit/ralph/test_checklist.py", _TEST),
                ],
            ),
            (
                "checklist(prd) is pure and stands on planning.waiting.\n"
                "Learned: planning.waiting leaves out what has passed.\nSTORY_COMPLETE: DF-001",
                [],
            ),
        ],
    ],
    "DF-002": [
        [
            (
                "First the command as it is, then the option.",
                [("read_file", {"path": _STATUS})],
            ),
            (
                "The option, its example, and its tests.",
                [
                    _bash(f"python - <<'END'{_EDIT}END\nruff format {_STATUS}"),
                    _write("tests/unit/cli/test_ralph_checklist.py", _CLI_TEST),
                ],
            ),
            (
                "status --markdown prints the checklist.\n"
                "Learned: docs/reference/cli.md is made by scripts/gen_cli_reference.\n"
                "STORY_COMPLETE: DF-002",
                [],
            ),
        ]
    ],
}
"""By story: its attempts, each as its steps."""


def reply(asked: ModelCall) -> Reply:
    """The next thing that the model says to whoever asks (`testing.model_server`'s script)."""
    first = asked.first_user_text
    for story, attempts in CONVERSATION.items():
        if f"Your story, {story}:" in first:
            steps = attempts[-1 if "An earlier attempt did not pass" in first else 0]
            text, uses = steps[min(asked.step, len(steps) - 1)]
            return calls(*uses, text=text)
    return fail(400, f"the conversation has no such agent: {first[:100]}")
