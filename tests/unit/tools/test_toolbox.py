import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.core.errors import ToolError
from codetether_ray.core.spec import AgentKind
from codetether_ray.ports.tool import Effect, Tool
from codetether_ray.tools import catalog, offers
from codetether_ray.tools import toolbox as module
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.catalog import ALL_TOOLS, TOOLS_BY_KIND, load, tools_for
from codetether_ray.tools.toolbox import toolbox

_ROOT = Path(__file__).parents[3]


async def _refusal(desk: Any, name: str, arguments: str) -> str:
    with pytest.raises(ToolError) as caught:
        await toolbox(ALL_TOOLS).call(name, arguments, desk.ctx)
    return str(caught.value)


def test_all_promised_tools_are_there() -> None:
    promised = (
        "apply_patch ask_user bash batch codesearch discover edit glob grep list_dir multiedit prd "
        "ralph read_file send_message swarm swarm_share task todo_read todo_write write_file"
    )
    assert [s.name for s in toolbox(ALL_TOOLS).schemas()] == promised.split()


def test_the_order_of_names_does_not_change_the_schemas() -> None:
    assert toolbox(ALL_TOOLS[::-1]).schemas() == toolbox((*ALL_TOOLS, "bash")).schemas()


def test_every_process_makes_the_same_schema_bytes() -> None:
    program = (
        "import json; from codetether_ray.tools.toolbox import toolbox; "
        "from codetether_ray.tools.catalog import ALL_TOOLS; "
        "print(json.dumps([s.parameters for s in toolbox(ALL_TOOLS).schemas()]))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    here = json.dumps([s.parameters for s in toolbox(ALL_TOOLS).schemas()])
    assert printed == {f"{here}\n".encode()}


@pytest.mark.parametrize("kind", TOOLS_BY_KIND)
def test_the_schemas_that_an_agent_gets_are_small_together(kind: AgentKind) -> None:
    texts = [
        json.dumps({"name": s.name, "description": s.description, "parameters": s.parameters})
        for s in toolbox(tools_for(kind)).schemas()
    ]
    assert sum(map(len, texts)) / 4 < 1950  # tokens
    assert "$ref" not in "".join(texts)
    assert '"title"' not in "".join(texts)


def test_a_schema_describes_every_argument_that_is_accepted() -> None:
    for name in ALL_TOOLS:
        tool = load(name)
        [schema] = toolbox([name]).schemas()
        assert schema.description
        properties: Any = schema.parameters["properties"]
        assert list(properties) == list(tool.arguments.model_fields)


def test_effects_tell_what_may_be_run_at_once_or_again() -> None:
    box = toolbox(ALL_TOOLS)
    assert {n for n in ALL_TOOLS if box.effect(n) is Effect.READ} == {
        *catalog.READ_TOOLS,
        "discover",
        "todo_read",
    }
    assert {n for n in ALL_TOOLS if box.effect(n) is Effect.WRITE} == {
        *catalog.WRITE_TOOLS,
        "prd",
    }
    assert box.effect("bash") is Effect.SHELL
    assert box.effect("batch") is Effect.SHELL
    assert box.effect("task") is Effect.SPAWN
    assert box.effect("nothing") is None
    assert toolbox(["glob"]).effect("bash") is None


def test_each_kind_of_agent_gets_its_tools() -> None:
    assert "swarm_share" not in tools_for("main")
    assert {kind for kind, names in TOOLS_BY_KIND.items() if "ask_user" in names} == {"main"}
    assert {"task", "swarm_share"} <= set(tools_for("subagent"))
    assert "task" not in tools_for("subagent", is_leaf=True)
    assert "task" not in tools_for("resolver")
    assert {"swarm", "ralph"} <= set(tools_for("main")) & set(tools_for("member"))
    assert not {"swarm", "ralph"} & {*tools_for("subagent"), *tools_for("main", is_leaf=True)}
    assert all(load(n).effect is Effect.READ for n in tools_for("planner"))
    assert tools_for("synthesis") == ()
    for names in TOOLS_BY_KIND.values():
        assert list(names) == sorted(names)


def test_what_is_offered_is_what_the_tools_make_of_themselves() -> None:
    command = [sys.executable, str(_ROOT / "scripts" / "gen_tool_offers"), "-"]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert offers.PATH.read_text(encoding="utf-8") == made, "run scripts/gen_tool_offers"


def test_a_tool_is_imported_only_when_it_is_called() -> None:
    program = (
        "import sys; from codetether_ray.tools.toolbox import toolbox; "
        "box = toolbox(['glob', 'prd']); box.schemas(); box.effect('glob'); "
        "print([m for m in sys.modules if m in ('pydantic', 'codetether_ray.tools.glob')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert done.stdout == "[]\n"


def test_an_unknown_name_is_refused_when_the_box_is_made() -> None:
    with pytest.raises(ValueError, match="no tool named grepp"):
        toolbox(["grepp"])


async def test_an_unknown_tool_is_answered_with_the_near_and_all_names(desk: Any) -> None:
    said = await _refusal(desk, "read", "{}")
    assert "Did you mean read_file?" in said
    assert "apply_patch, ask_user, bash" in said


async def test_a_tool_that_this_agent_lacks_is_unknown(desk: Any) -> None:
    with pytest.raises(ToolError, match="no tool 'bash'"):
        await toolbox(["glob"]).call("bash", '{"command": "true"}', desk.ctx)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("read_file", '{"file_path": "x"}', "no argument file_path (did you mean path?)"),
        ("read_file", '{"file_path": "x"}', "path is missing"),
        ("read_file", '{"path": "x", "ofset": 1}', "did you mean offset?"),
        ("read_file", "{}", "path: string (required), offset: integer, limit: integer"),
        ("read_file", '{"path": 3}', "path must be a valid string, not int"),
        ("read_file", '{"path": "x", "offset": 0}', "offset"),
        ("read_file", '{"path": "x"', "not valid JSON"),
        ("read_file", "[1]", "must be a JSON object"),
        ("multiedit", '{"edits": [{"path": "x", "old": "a"}]}', "did you mean old_string?"),
        ("multiedit", '{"edits": [{"path": "x"}]}', "edits.0.old_string is missing"),
        ("todo_write", '{"todos": [{"content": "x", "status": "done"}]}', "'pending'"),
        ("todo_read", '{"x": 1}', "Its arguments: none."),
        ("swarm_share", '{"action": "put"}', "action: publish|get|query_tags|query_prefix|list"),
    ],
)
async def test_wrong_arguments_are_answered_with_the_right_ones(
    desk: Any, name: str, arguments: str, expected: str
) -> None:
    assert expected in await _refusal(desk, name, arguments)


async def test_what_models_often_write_otherwise_is_understood(desk: Any) -> None:
    desk.write("x", "one\ntwo\n")
    box = toolbox(ALL_TOOLS)
    read = [
        '{"path": "x", "offset": null}',
        '{"path": "x", "offset": "1"}',
        json.dumps('{"path": "x"}'),
    ]
    for arguments in read:
        assert "two" in await box.call("read_file", arguments, desk.ctx)
    edits = json.dumps([{"path": "x", "old_string": "one", "new_string": "1"}])
    assert "edited" in await box.call("multiedit", json.dumps({"edits": edits}), desk.ctx)
    assert desk.read("x") == "1\ntwo\n"
    assert await box.call("todo_read", "", desk.ctx)


async def test_lone_surrogates_are_replaced_and_pairs_joined(desk: Any) -> None:
    box = toolbox(ALL_TOOLS)
    arguments = '{"path": "x", "content": "a\\ud800b \\ud83d\\ude00"}'
    await box.call("write_file", arguments, desk.ctx)
    assert desk.read("x") == "a�b 😀"


async def _with(tool: Tool[Any], monkeypatch: pytest.MonkeyPatch, desk: Any) -> str:
    monkeypatch.setattr(module, "load", lambda name: tool)
    return await toolbox(["bash"]).call("bash", "{}", desk.ctx)


class _None(Arguments):
    """Nothing."""


async def test_a_tool_that_never_ends_is_stopped(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sleep(args: Any, ctx: Any) -> str:
        await asyncio.Event().wait()
        return ""

    tool = Tool("bash", _None, sleep, Effect.READ, timeout_s=0.01)
    with pytest.raises(ToolError, match=r"bash was stopped after 0\.01 s"):
        await _with(tool, monkeypatch, desk)


async def test_a_refusal_of_the_system_is_told_and_a_fault_of_ours_rises(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(args: Any, ctx: Any) -> str:
        raise PermissionError(13, "Permission denied", "x/y")

    async def fault(args: Any, ctx: Any) -> str:
        raise TimeoutError("its own")

    with pytest.raises(ToolError, match=r"bash: Permission denied \(x/y\)"):
        await _with(Tool("bash", _None, refuse, Effect.READ), monkeypatch, desk)
    with pytest.raises(TimeoutError):
        await _with(Tool("bash", _None, fault, Effect.READ), monkeypatch, desk)
