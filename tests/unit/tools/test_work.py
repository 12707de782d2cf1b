"""bash, batch, the to-do list, task and swarm_share."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.core.errors import ToolError, TreeLimitError
from codetether_ray.core.events import ToolOutput
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.ports.sandbox import Completed
from codetether_ray.ports.tool import Notebook, SharedResult, Todo


class _Sandbox:
    """Answers as told, and remembers what it was asked."""

    def __init__(self, completed: Completed, output: Sequence[str] = ()) -> None:
        self.completed = completed
        self.output = output
        self.asked: dict[str, Any] = {}

    async def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 120.0,
        stdin: bytes | None = None,
        max_output_bytes: int = 30_000,
        on_output: Callable[[str], None] | None = None,
    ) -> Completed:
        self.asked = {"command": command, "cwd": cwd, "env": env, "timeout_s": timeout_s}
        for text in self.output:
            assert on_output is not None
            on_output(text)
        return self.completed


# -- bash -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("completed", "expected"),
    [
        (Completed(exit_code=0, output="hi\n"), "hi"),
        (Completed(exit_code=0, output=""), "(no output)"),
        (Completed(exit_code=2, output="bad\n"), "bad\n[exit code 2]"),
        (Completed(exit_code=1, output=""), "[exit code 1]"),
        (Completed(exit_code=-11, output="x"), "x\n[ended by signal 11]"),
        (
            Completed(exit_code=-15, output="x", timed_out=True),
            "x\n[stopped after 7 s; a larger timeout can be given]",
        ),
    ],
)
async def test_a_command_is_answered_with_output_and_how_it_ended(
    desk: Any, completed: Completed, expected: str
) -> None:
    sandbox = _Sandbox(completed)
    desk.write("sub/x", "")
    assert (
        await desk.with_(sandbox=sandbox).call("bash", command="make", cwd="sub", timeout=7)
        == expected
    )
    assert sandbox.asked == {
        "command": "make",
        "cwd": desk.root / "sub",
        "env": {"PORT_BASE": "4100"},
        "timeout_s": 7,
    }


async def test_output_is_published_as_it_comes_up_to_a_limit(desk: Any) -> None:
    sandbox = _Sandbox(Completed(exit_code=0, output=""), ["one\n", "y" * 300_000, "z"])
    await desk.with_(sandbox=sandbox).call("bash", command="x")
    first, second = desk.events
    assert first == ToolOutput(call_id="call-1", text="one\n")
    assert second.text.endswith("y\n[more output; it is not shown live]\n")
    assert len(second.text) < 201_000


async def test_a_command_really_runs(desk: Any) -> None:
    desk.write("sub/x", "")
    said = await desk.call("bash", command='ls; echo "$PORT_BASE" >&2; exit 3', cwd="sub")
    assert said == "x\n4100\n[exit code 3]"
    with pytest.raises(ToolError, match="cwd must be a directory"):
        await desk.call("bash", command="true", cwd="sub/x")


# -- batch ----------------------------------------------------------------------------------------


class _Tools:
    """Records how calls overlap."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.together: list[tuple[str, ...]] = []

    async def run(self, name: str, arguments: str) -> str:
        self.running.append(name)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.together.append(tuple(self.running))
        self.running.remove(name)
        if name == "glob":
            raise ToolError("no")
        return f"{name} {arguments}"


async def test_reading_calls_run_at_once_and_others_one_by_one(desk: Any) -> None:
    tools = _Tools()
    names = ["read_file", "glob", "edit", "bash", "grep", "list_dir"]
    said = await desk.with_(run_tool=tools.run).call(
        "batch", calls=[{"tool": name, "args": {"n": 1}} for name in names]
    )
    assert said.split("\n\n") == [
        '[1: read_file]\nread_file {"n": 1}',
        "[2: glob]\nerror: no",
        '[3: edit]\nedit {"n": 1}',
        '[4: bash]\nbash {"n": 1}',
        '[5: grep]\ngrep {"n": 1}',
        '[6: list_dir]\nlist_dir {"n": 1}',
    ]
    assert tools.together == [
        ("read_file", "glob"),
        ("glob",),
        ("edit",),
        ("bash",),
        ("grep", "list_dir"),
        ("list_dir",),
    ]


async def test_a_batch_is_not_nested_and_starts_no_agent(desk: Any) -> None:
    tools = _Tools()
    said = await desk.with_(run_tool=tools.run).call(
        "batch",
        calls=[{"tool": "batch", "args": {"calls": []}}, {"tool": "task"}, {"tool": "ask_user"}],
    )
    assert said.count("cannot be called in a batch") == 3
    assert not tools.together


async def test_a_batch_without_a_way_to_run_tools_is_refused(desk: Any) -> None:
    with pytest.raises(ToolError, match="one by one"):
        await desk.call("batch", calls=[{"tool": "glob"}])


# -- to-do ----------------------------------------------------------------------------------------


async def test_the_list_is_replaced_and_read(desk: Any) -> None:
    desk.with_(notebook=Notebook())
    assert await desk.call("todo_read") == "(the list is empty)"
    items = [{"content": "a", "status": "completed"}, {"content": "b", "priority": "high"}]
    written = await desk.call("todo_write", todos=items)
    assert written == "1. [completed] a\n2. [pending] (high) b"
    assert await desk.call("todo_read") == written
    assert desk.ctx.notebook.todos[1] == Todo(id="2", content="b", priority="high")


async def test_two_items_with_one_id_are_refused(desk: Any) -> None:
    with pytest.raises(ToolError, match="same id"):
        await desk.call("todo_write", todos=[{"content": "a", "id": "2"}, {"content": "b"}])
    assert desk.ctx.notebook.todos == ()


# -- task -----------------------------------------------------------------------------------------


class _Children:
    def __init__(self, answer: TurnResult | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[str, ...]] = []

    async def run_child(
        self, parent: AgentSpec, call_id: str, description: str, prompt: str
    ) -> TurnResult:
        self.asked.append((parent.path, call_id, description, prompt))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_a_sub_agent_answers_its_parent(desk: Any) -> None:
    children = _Children(TurnResult(outcome="completed", text="done"))
    desk.with_(children=children)
    assert await desk.call("task", description="fix it", prompt="all of it") == "done"
    assert children.asked == [("main", "call-1", "fix it", "all of it")]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            TurnResult(outcome="max_steps", text="half", steps=50),
            r"did not finish \(max_steps, 50 steps\)\nIts last words:\nhalf",
        ),
        (TurnResult(outcome="failed", error="no key"), r"\(failed, 0 steps\): no key"),
        (TreeLimitError("depth", 3), "limit of 3 for depth is reached; do the work yourself"),
    ],
)
async def test_a_sub_agent_that_failed_is_an_error_for_its_parent(
    desk: Any, answer: TurnResult | Exception, expected: str
) -> None:
    with pytest.raises(ToolError, match=expected):
        await desk.with_(children=_Children(answer)).call("task", description="x", prompt="y")


async def test_an_agent_without_children_is_told(desk: Any) -> None:
    with pytest.raises(ToolError, match="cannot start sub-agents"):
        await desk.call("task", description="x", prompt="y")


# -- swarm_share ----------------------------------------------------------------------------------


class _Shares:
    def __init__(self) -> None:
        self.kept: dict[str, SharedResult] = {}

    async def publish(self, result: SharedResult) -> None:
        self.kept[result.key] = result

    async def get(self, key: str) -> SharedResult | None:
        return self.kept.get(key)

    async def query(
        self, *, tags: tuple[str, ...] = (), prefix: str = ""
    ) -> tuple[SharedResult, ...]:
        return tuple(
            one
            for key, one in sorted(self.kept.items())
            if key.startswith(prefix) and (not tags or set(tags) & set(one.tags))
        )


async def test_results_are_published_read_and_found(desk: Any) -> None:
    desk.with_(shares=_Shares())
    published = await desk.call(
        "swarm_share", action="publish", key="api/users", value={"port": 1}, tags=["api"]
    )
    assert published == "published api/users (object)"
    await desk.call("swarm_share", action="publish", key="db", value=[1], tags=["db"])
    got = json.loads(await desk.call("swarm_share", action="get", key="api/users"))
    assert got["published_at"] > 1e9
    assert {k: got[k] for k in ("key", "producer", "value", "type", "tags")} == {
        "key": "api/users",
        "producer": "main",
        "value": {"port": 1},
        "type": "object",
        "tags": ["api"],
    }
    line = '[{"key": "api/users", "producer": "main", "type": "object", "tags": ["api"]}]'
    assert await desk.call("swarm_share", action="query_tags", tags=["api"]) == f"1 result\n{line}"
    assert await desk.call("swarm_share", action="query_prefix", prefix="api/") == (
        f"1 result\n{line}"
    )
    assert (await desk.call("swarm_share", action="list")).startswith("2 results\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"action": "get", "key": "x"}, "nothing was published yet"),
        ({"action": "get"}, "get needs a key"),
        ({"action": "publish", "key": "x"}, "publish needs a value"),
        ({"action": "publish", "key": "x", "value": "y" * 200_000}, "write it to a file"),
        ({"action": "query_tags"}, "needs tags"),
        ({"action": "query_prefix"}, "needs a prefix"),
    ],
)
async def test_what_an_action_needs_is_said(
    desk: Any, arguments: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ToolError, match=expected):
        await desk.with_(shares=_Shares()).call("swarm_share", **arguments)


async def test_outside_a_swarm_nothing_is_shared(desk: Any) -> None:
    with pytest.raises(ToolError, match="no swarm"):
        await desk.call("swarm_share", action="list")


# -- ask_user -------------------------------------------------------------------------------------


async def test_a_question_comes_back_as_the_user_reads_it(desk: Any) -> None:
    said = await desk.call("ask_user", question=" Which database? ", options=["SQLite", "Postgres"])
    assert said == "Which database?\n1. SQLite\n2. Postgres"


async def test_a_question_without_words_is_refused(desk: Any) -> None:
    with pytest.raises(ToolError, match="question"):
        await desk.call("ask_user", question="")
