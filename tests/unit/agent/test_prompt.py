import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.agent.digests import MessageChain, prefix_digest
from codetether_ray.agent.instructions import find_instructions
from codetether_ray.agent.prompt import system_prompt
from codetether_ray.agent.situation import is_same_message, situation_of, with_situation
from codetether_ray.core.messages import Image, Message, Text, assistant, user
from codetether_ray.core.models import ToolSchema
from codetether_ray.testing.fakes import make_spec
from codetether_ray.tools.catalog import ALL_TOOLS, tools_for
from codetether_ray.tools.toolbox import toolbox

_KINDS = ["main", "subagent", "planner", "resolver", "synthesis"]
_TOOLS = ("bash", "edit", "grep", "read_file", "task", "todo_write")


@pytest.mark.parametrize("kind", _KINDS)
def test_the_prompt_of_every_kind_is_short(kind) -> None:
    prompt = system_prompt(make_spec(kind=kind, tools=_TOOLS))
    assert 200 < len(prompt) / 4 < 1_000


@pytest.mark.parametrize("kind", _KINDS)
def test_prompt_and_tool_schemas_together_stay_under_four_thousand_tokens(kind) -> None:
    names = tools_for(kind)
    prompt = system_prompt(make_spec(kind=kind, tools=names))
    tools = [
        [schema.name, schema.description, schema.parameters] for schema in toolbox(names).schemas()
    ]
    assert (len(prompt) + len(json.dumps(tools))) / 4 < 4_000


def test_the_kinds_have_roles_of_their_own() -> None:
    assert len({system_prompt(make_spec(kind=kind)) for kind in _KINDS}) == len(_KINDS)


def test_nothing_that_varies_is_in_the_prompt() -> None:
    spec = make_spec(tools=_TOOLS, root="/home/someone/project", situation="Friday, dirty tree")
    prompt = system_prompt(spec)
    assert "Friday" not in prompt
    assert "/home/someone" not in prompt
    assert prompt == system_prompt(spec)


def test_a_leaf_is_not_told_of_delegating() -> None:
    assert "Delegating" in system_prompt(make_spec(tools=_TOOLS))
    assert "Delegating" not in system_prompt(make_spec(tools=("bash",)))


def test_no_rule_names_a_tool_that_the_agent_lacks() -> None:
    prompt = system_prompt(make_spec(kind="planner", tools=tools_for("planner")))
    named = {name for name in ALL_TOOLS if f"`{name}`" in prompt}
    assert named <= set(tools_for("planner"))


def test_own_instructions_come_before_the_projects_and_the_nearest_comes_last() -> None:
    files = (("AGENTS.md", "farthest"), ("pkg/AGENTS.md", "nearest"))
    prompt = system_prompt(make_spec(instructions="you test", tools=_TOOLS), files)
    places = [prompt.index(t) for t in ("you test", "## AGENTS.md", "farthest", "nearest")]
    assert places == sorted(places)
    assert prompt.endswith("## pkg/AGENTS.md\nnearest")


# -- AGENTS.md ------------------------------------------------------------------------------------


def _repository(root: Path) -> Path:
    (root / ".git").mkdir()
    inner = root / "a" / "b"
    inner.mkdir(parents=True)
    return inner


def test_instructions_are_found_from_the_git_root_down_to_the_directory(tmp_path) -> None:
    (tmp_path / "AGENTS.md").write_text("not ours")
    root = tmp_path / "repo"
    root.mkdir()
    inner = _repository(root)
    (root / "AGENTS.md").write_text("top\n")
    (inner / "AGENTS.md").write_text("near")
    (root / "a" / "other").mkdir()
    (root / "a" / "other" / "AGENTS.md").write_text("aside")
    assert find_instructions(inner) == (("AGENTS.md", "top"), ("a/b/AGENTS.md", "near"))


def test_a_worktrees_git_file_marks_its_root_too(tmp_path) -> None:
    (tmp_path / ".git").write_text("gitdir: elsewhere")
    (tmp_path / "AGENTS.md").write_text("x")
    assert find_instructions(tmp_path) == (("AGENTS.md", "x"),)


def test_outside_git_only_the_directory_itself_counts(tmp_path) -> None:
    inner = tmp_path / "in"
    inner.mkdir()
    (tmp_path / "AGENTS.md").write_text("above")
    (inner / "AGENTS.md").write_text("here")
    assert find_instructions(inner) == (("AGENTS.md", "here"),)


def test_a_long_file_is_cut_at_a_character_and_says_so(tmp_path) -> None:
    _repository(tmp_path)
    (tmp_path / "AGENTS.md").write_text("x" + "é" * 9_000, encoding="utf-8")
    ((_, text),) = find_instructions(tmp_path)
    assert len(text.encode()) < 8_200
    assert "cut after 8000 bytes" in text
    assert "�" not in text


def test_missing_empty_and_unreadable_files_are_left_out(tmp_path) -> None:
    inner = _repository(tmp_path)
    (tmp_path / "AGENTS.md").mkdir()
    (inner / "AGENTS.md").write_text(" \n")
    assert find_instructions(inner) == ()


# -- digests and situations -----------------------------------------------------------------------


def test_the_prefix_digest_changes_with_every_part_of_the_prefix() -> None:
    tool = ToolSchema(name="n", description="d", parameters={"type": "object"})
    other = ToolSchema(name="n", description="d", parameters={"type": "object", "x": 1})
    digests = [
        prefix_digest("s", (tool,)),
        prefix_digest("s ", (tool,)),
        prefix_digest("s", (other,)),
        prefix_digest("s", (tool, tool)),
        prefix_digest("s", ()),
    ]
    assert len(set(digests)) == len(digests)
    assert prefix_digest("s", [tool]) == digests[0]


_messages = st.lists(st.text(max_size=5).map(user), max_size=6)


@given(_messages, _messages)
def test_a_chain_gives_the_same_digest_whatever_it_saw_before(first, second) -> None:
    used = MessageChain("p")
    used.digest(first)
    assert used.digest(second) == MessageChain("p").digest(second)
    assert (used.digest(first) == MessageChain("p").digest(second)) == (first == second)


def test_a_situation_is_the_last_part_and_can_be_told_from_the_message() -> None:
    asked = Message(role="user", parts=(Text(text="go"), Image(media_type="image/png", data="")))
    sent = with_situation(asked, "it is Monday")
    assert sent.parts[:-1] == asked.parts
    assert situation_of(sent) == "it is Monday"
    assert with_situation(asked, "") is asked
    assert situation_of(asked) == ""
    assert is_same_message(asked, sent)
    assert is_same_message(sent, sent)
    assert not is_same_message(user("go"), sent)
    assert not is_same_message(assistant("go"), user("go"))
