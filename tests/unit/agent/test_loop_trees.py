"""The tree goes with the conversation: wherever an agent dies, the files and the words agree."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.core.events import Event, ToolFinished, ToolStarted, TreeFound, Warned
from codetether_ray.core.messages import user
from codetether_ray.ports.tool import Effect, ToolContext
from codetether_ray.testing.trees import MemorySnapshots, MemoryTree
from tests.unit.agent.scenes import Scene, by_step, call, make_spec, says

_GO = user("go")
_SCRIPT = by_step(
    says(call("r0", "read"), call("w0", "write", path="a", text="1")),
    says(call("s0", "shell", path="tally")),
    says(call("w1", "write", path="a", text="2"), call("s1", "shell", path="tally")),
    says(call("t0", "task", path="child"), call("t1", "task", path="other")),
    says(call("r1", "read")),
    "done",
)


class World:
    """A tree, what was really done to it, and how it stood whenever something was recorded."""

    def __init__(self, tree: MemoryTree | None = None) -> None:
        self.tree = tree or MemoryTree()
        self.done: list[str] = []
        self.moments: list[tuple[dict[str, str], tuple[str, ...]]] = []

    def tools(self) -> dict[str, Any]:
        async def write(arguments: dict[str, Any], ctx: ToolContext) -> str:
            if str(ctx.root) != "/nowhere":
                (ctx.root / arguments["path"]).write_text(arguments["text"])
            else:
                self.done.append(ctx.call_id)
                self.tree.files[arguments["path"]] = arguments["text"]
            return f"wrote {arguments['path']}"

        async def shell(arguments: dict[str, Any], ctx: ToolContext) -> str:
            self.done.append(ctx.call_id)
            path = arguments["path"]
            self.tree.files[path] = self.tree.files.get(path, "") + f"{ctx.call_id};"
            return "ran"

        async def task(arguments: dict[str, Any], ctx: ToolContext) -> str:
            if ctx.call_id not in self.done:  # a child that finished gives its recorded result
                self.done.append(ctx.call_id)
                self.tree.files[arguments["path"]] = "by a child"
            return "the child is done"

        return {
            "write": (Effect.WRITE, write),
            "shell": (Effect.SHELL, shell),
            "task": (Effect.SPAWN, task),
        }

    def scene(
        self, recorded: tuple[Event, ...] = (), *, is_own: bool = True, **terms: Any
    ) -> Scene:
        snapshots = MemorySnapshots(self.tree, is_own=is_own)
        scene = Scene(_SCRIPT, recorded=recorded, tools=self.tools(), snapshots=snapshots, **terms)
        record = scene.publisher.record

        async def recording(*events: Event) -> None:
            self.moments += [(dict(self.tree.files), tuple(self.done))] * len(events)
            await record(*events)

        scene.publisher.record = recording  # type: ignore[method-assign]
        return scene


@dataclass
class Crash:
    """What is there after a crash: the records up to `cut`, and the files at one moment."""

    recorded: tuple[Event, ...]
    files: dict[str, str]
    done: tuple[str, ...]

    def world(self, tree: MemoryTree) -> World:
        world = World(MemoryTree())
        world.tree.commits = dict(tree.commits)
        world.tree.files = dict(self.files)
        world.done = list(self.done)
        return world


def _crashes(whole: Scene, world: World) -> Iterator[Crash]:
    """Every prefix of the records, with the files as early and as late as they can be with it."""
    events = tuple(whole.events)
    for cut in range(1, len(events)):
        for files, done in {repr(m): m for m in world.moments[cut - 1 : cut + 1]}.values():
            yield Crash(events[:cut], files, done)


@pytest.mark.parametrize("is_own", [True, False])
async def test_a_crash_anywhere_ends_with_the_same_files_and_no_effect_twice(is_own: bool) -> None:
    world = World()
    whole = world.scene(is_own=is_own)
    wanted = await whole.turn(_GO)
    assert wanted.is_success
    count = 0
    for crash in _crashes(whole, world):
        count += 1
        after = crash.world(world.tree)
        again = after.scene(crash.recorded, is_own=is_own)
        result = await again.turn(_GO)
        assert result.is_success
        lost = [e.result.call_id for e in again.of(ToolFinished) if e.interrupted]
        for shell in ("s0", "s1"):
            assert after.done.count(shell) <= 1, crash.recorded[-1]
            assert after.done.count(shell) == 1 or shell in lost
        never = [s for s in lost if s not in after.done]
        files = dict(world.tree.files)
        for shell in never:  # it may be lost before its effect: then it has none
            files["tally"] = files["tally"].replace(f"{shell};", "")
        assert {k: v for k, v in after.tree.files.items() if v} == {
            k: v for k, v in files.items() if v
        }
        last = [e.snapshot for e in again.of(ToolFinished) if e.snapshot]
        assert last or not world.tree.commits
        assert after.tree.commits[last[-1]] == after.tree.files
    assert count > 25


async def test_a_result_is_recorded_after_its_tree_and_names_it() -> None:
    world = World()
    scene = world.scene()
    await scene.turn(_GO)
    starts = {e.call.id: e for e in scene.of(ToolStarted)}
    ends = {e.result.call_id: e for e in scene.of(ToolFinished)}
    assert starts["r0"].snapshot == ends["r0"].snapshot == ""
    assert world.tree.commits[starts["w0"].snapshot] == {}
    assert world.tree.commits[ends["w0"].snapshot] == {"a": "1"}
    assert starts["s0"].snapshot == ends["w0"].snapshot
    assert ends["t0"].snapshot == ""
    assert world.tree.commits[ends["t1"].snapshot].keys() == {"a", "tally", "child", "other"}


async def test_a_call_that_changes_nothing_has_no_snapshot() -> None:
    async def idle(arguments: object, ctx: ToolContext) -> str:
        return "nothing to do"

    snapshots = MemorySnapshots(MemoryTree())
    script = by_step(says(call("1", "shell")), "done")
    scene = Scene(script, tools={"shell": (Effect.SHELL, idle)}, snapshots=snapshots)
    await scene.turn(_GO)
    (started,), (finished,) = scene.of(ToolStarted), scene.of(ToolFinished)
    assert started.snapshot
    assert finished.snapshot == finished.tree == ""


async def test_a_command_that_was_cut_off_is_told_with_what_it_had_changed() -> None:
    world = World()
    whole = world.scene()
    await whole.turn(_GO)
    cut = next(n for n, e in enumerate(whole.events) if _starts(e, "s0")) + 1
    files, done = world.moments[cut]
    after = Crash(tuple(whole.events[:cut]), files, done).world(world.tree)
    again = after.scene(tuple(whole.events[:cut]))
    await again.turn(_GO)
    told = next(e for e in again.of(ToolFinished) if e.result.call_id == "s0")
    assert told.interrupted
    assert told.result.content.endswith("Files that differ from before: tally.")
    assert after.tree.commits[told.snapshot]["tally"] == "s0;"
    assert after.done.count("s0") == 1


async def test_a_write_found_done_in_a_shared_directory_is_not_made_again() -> None:
    world = World()
    whole = world.scene(is_own=False)
    await whole.turn(_GO)
    cut = next(n for n, e in enumerate(whole.events) if _starts(e, "w1")) + 1
    files, done = world.moments[cut]
    after = Crash(tuple(whole.events[:cut]), files, done).world(world.tree)
    again = after.scene(tuple(whole.events[:cut]), is_own=False)
    await again.turn(_GO)
    assert after.done.count("w1") == 1
    told = next(e for e in again.of(ToolFinished) if e.result.call_id == "w1")
    assert (told.interrupted, told.result.content) == (False, "wrote a")


async def test_a_write_that_the_user_came_between_is_not_guessed() -> None:
    world = World()
    whole = world.scene(is_own=False)
    await whole.turn(_GO)
    cut = next(n for n, e in enumerate(whole.events) if _starts(e, "w1")) + 1
    files = {**world.moments[cut - 1][0], "a": "of the user"}
    after = Crash(tuple(whole.events[:cut]), files, world.moments[cut - 1][1]).world(world.tree)
    again = after.scene(tuple(whole.events[:cut]), is_own=False)
    await again.turn(_GO)
    told = next(e for e in again.of(ToolFinished) if e.result.call_id == "w1")
    assert told.interrupted
    assert "Files that differ from before: a." in told.result.content
    assert after.tree.files["a"] == "of the user"


async def test_what_the_user_changed_meanwhile_is_told_and_stays() -> None:
    world = World()
    whole = world.scene(is_own=False)
    await whole.turn(_GO)
    cut = whole.tags.index("model.requested", whole.tags.index("tool.finished")) + 1
    files = {**world.moments[cut - 1][0], "mine": "of the user"}
    after = Crash(tuple(whole.events[:cut]), files, world.moments[cut - 1][1]).world(world.tree)
    again = after.scene(tuple(whole.events[:cut]), is_own=False)
    assert (await again.turn(_GO)).is_success
    (found,) = again.of(TreeFound)
    assert found.files == ("mine",)
    assert again.provider.requests[0].messages[-1].text == found.text
    assert after.tree.files["mine"] == "of the user"
    assert again.snapshots.restored == 0


async def test_what_is_told_late_does_not_hide_what_was_done_meanwhile() -> None:
    world = World()
    whole = world.scene(is_own=False)
    await whole.turn(_GO)
    # the first write is not begun yet, but a command before it is done: see step 2
    cut = next(n for n, e in enumerate(whole.events) if _starts(e, "s1"))
    files = {**world.moments[cut - 1][0], "mine": "of the user"}
    after = Crash(tuple(whole.events[:cut]), files, world.moments[cut - 1][1]).world(world.tree)
    again = after.scene(tuple(whole.events[:cut]), is_own=False)
    assert (await again.turn(_GO)).is_success
    (found,) = again.of(TreeFound)
    started = next(e for e in again.of(ToolStarted) if e.call.id == "s1")
    assert after.tree.commits[started.snapshot]["mine"] == "of the user"
    assert after.tree.commits[found.snapshot]["tally"] == "s0;s1;"
    last = [e.snapshot for e in again.events if getattr(e, "snapshot", "")][-1]
    assert after.tree.commits[last] == after.tree.files


async def test_a_worktree_is_put_back_and_the_user_is_told_what_was_put_aside() -> None:
    world = World()
    whole = world.scene()
    await whole.turn(_GO)
    cut = whole.tags.index("model.requested", whole.tags.index("tool.finished")) + 1
    files = {**world.moments[cut - 1][0], "half": "done"}
    after = Crash(tuple(whole.events[:cut]), files, world.moments[cut - 1][1]).world(world.tree)
    again = after.scene(tuple(whole.events[:cut]))
    assert (await again.turn(_GO)).is_success
    assert after.tree.files == world.tree.files
    (warning,) = [e for e in again.publisher.emitted if isinstance(e, Warned)]
    assert warning.text == "half put aside"
    assert not again.of(TreeFound)


async def test_a_finished_agent_that_is_asked_again_has_its_tree_back() -> None:
    world = World()
    whole = world.scene()
    wanted = await whole.turn(_GO)
    after = Crash(tuple(whole.events), {}, ()).world(world.tree)
    again = after.scene(tuple(whole.events))
    assert await again.turn(_GO) == wanted
    assert after.tree.files == world.tree.files
    assert not after.done


async def test_a_parent_whose_children_were_at_work_takes_the_tree_as_they_left_it() -> None:
    world = World()
    whole = world.scene()
    await whole.turn(_GO)
    cut = next(n for n, e in enumerate(whole.events) if _starts(e, "t1")) + 1
    files = {**world.moments[cut - 1][0], "child": "by a child"}
    after = Crash(tuple(whole.events[:cut]), files, ("t0",)).world(world.tree)
    again = after.scene(tuple(whole.events[:cut]))
    assert (await again.turn(_GO)).is_success
    assert again.snapshots.restored == 0
    assert after.done == ["t0", "t1"]
    assert after.tree.files == world.tree.files


async def test_a_tree_that_cannot_be_kept_loses_nothing_but_itself() -> None:
    world = World()
    scene = world.scene()
    scene.snapshots.broken = WorkspaceError("git says no")
    assert (await scene.turn(_GO)).is_success
    warnings = [e.text for e in scene.publisher.emitted if isinstance(e, Warned)]
    assert warnings == ["the files of main are not kept for a resume: git says no"]
    assert not [e for e in scene.of(ToolFinished) if e.snapshot or e.is_unkept]


async def test_after_a_tree_that_could_not_be_kept_the_files_are_taken_as_they_are() -> None:
    world = World()
    scene = world.scene()
    tools = scene.toolbox.tools
    effect, shell = tools["shell"]

    async def breaking(arguments: dict[str, Any], ctx: ToolContext) -> str:
        scene.snapshots.broken = WorkspaceError("too much")
        return await shell(arguments, ctx)

    tools["shell"] = effect, breaking
    await scene.turn(_GO)
    cut = next(n for n, e in enumerate(scene.events) if isinstance(e, ToolFinished) and e.is_unkept)
    events = tuple(scene.events[: cut + 1])
    assert "could not be kept" in scene.events[cut].result.content
    files, done = world.moments[cut]
    after = Crash(events, files, done).world(world.tree)
    again = after.scene(events)
    assert (await again.turn(_GO)).is_success
    assert again.snapshots.restored == 0
    assert after.tree.files["tally"] == "s0;s1;"


async def test_a_cancelled_command_leaves_a_tree_that_is_gone_on_from() -> None:
    world = World()
    scene = world.scene()
    tools = scene.toolbox.tools

    async def hanging(arguments: dict[str, Any], ctx: ToolContext) -> str:
        world.tree.files["half"] = "done"
        scene.loop.cancel()
        raise AssertionError(await _never())

    real = tools["shell"]
    tools["shell"] = real[0], hanging
    assert (await scene.turn(_GO)).outcome == "cancelled"
    (lost,) = [e for e in scene.of(ToolFinished) if e.interrupted]
    assert world.tree.commits[lost.snapshot]["half"] == "done"
    assert lost.result.content.endswith("Files that differ from before: half.")
    again = world.scene(tuple(scene.events))
    assert (await again.turn(_GO)).is_success
    assert world.tree.files["half"] == "done"


async def test_without_a_workspace_nothing_is_asked_and_nothing_recorded() -> None:
    scene = Scene(_SCRIPT)
    assert (await scene.turn(_GO)).is_success
    assert not [e for e in scene.of(ToolStarted) + scene.of(ToolFinished) if e.snapshot]


async def _never() -> str:
    await asyncio.sleep(3600)
    return "never"


def _starts(event: Event, id: str) -> bool:
    return isinstance(event, ToolStarted) and event.call.id == id


async def test_another_machine_is_told_in_the_next_message_and_the_prefix_stays() -> None:
    world = World()
    whole = world.scene()
    await whole.turn(_GO)
    cut = whole.tags.index("model.requested", whole.tags.index("tool.finished")) + 1
    after = Crash(tuple(whole.events[:cut]), *world.moments[cut - 1]).world(world.tree)
    again = after.scene(tuple(whole.events[:cut]), spec=make_spec(node="another"))
    assert (await again.turn(_GO)).is_success
    (found,) = again.of(TreeFound)
    assert "another machine" in found.text
    request = again.provider.requests[0]
    assert request.messages[-1].text == found.text
    assert request.system == whole.provider.requests[0].system
    assert request.messages[:-1] == whole.provider.requests[1].messages
    assert found.snapshot in after.tree.commits
    assert after.tree.files == world.tree.files


async def test_a_command_that_a_lost_machine_cut_off_is_settled_before_the_move_is_told() -> None:
    world = World()
    whole = world.scene()
    await whole.turn(_GO)
    cut = next(n for n, e in enumerate(whole.events) if _starts(e, "s0")) + 1
    after = Crash(tuple(whole.events[:cut]), *world.moments[cut - 1]).world(world.tree)
    again = after.scene(tuple(whole.events[:cut]), spec=make_spec(node="another"))
    assert (await again.turn(_GO)).is_success
    (lost,) = [e for e in again.of(ToolFinished) if e.interrupted]
    assert lost.result.call_id == "s0"
    tags = again.tags
    assert tags.index("tool.finished", cut) < tags.index("tree.found")
    assert after.done.count("s0") == 0


async def test_a_command_that_a_lost_machine_cut_off_takes_no_earlier_step_with_it() -> None:
    world = World()
    whole = world.scene()
    await whole.turn(_GO)
    cut = next(n for n, e in enumerate(whole.events) if _starts(e, "s0")) + 1
    after = Crash(tuple(whole.events[:cut]), *world.moments[cut - 1]).world(world.tree)
    recorded = dict(after.tree.files)
    after.tree.files = {"base.txt": "a tree that was made for the move"}
    again = after.scene(tuple(whole.events[:cut]), spec=make_spec(node="another"))
    assert (await again.turn(_GO)).is_success
    assert recorded.keys() <= after.tree.files.keys()
    assert "base.txt" not in after.tree.files
