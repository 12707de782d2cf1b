"""An agent whose node fails it goes on elsewhere, from its journal."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from codetether_ray.core.errors import (
    AgentLostError,
    MemoryExceededError,
    NodeLostError,
    WorkspaceError,
)
from codetether_ray.core.events import AgentPlaced, AgentRestarted, Warned
from codetether_ray.core.messages import user
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.ports.runtime import Prepare
from codetether_ray.testing.fakes import make_spec
from tests.contracts.admission import GB, node, turns
from tests.unit.local.crowd import Crowd, CrowdProcess, Life, done


def _spec(path: str = "sub/a", **changes: Any) -> AgentSpec:
    return make_spec(path, **{"kind": "subagent", "depth": 1, "memory_bytes": GB, **changes})


def _crowd(*nodes: Any, **options: Any) -> Crowd:
    return Crowd(nodes=nodes or (node("home"), node("b"), node("c")), home="home", **options)


def _trees(made: list[str]) -> Prepare:
    async def prepare(spec: AgentSpec) -> AgentSpec:
        made.append(spec.node)
        return replace(spec, root=f"/tree/on/{spec.node or 'home'}")

    return prepare


def _failing(times: int, lost: Callable[[AgentSpec], AgentLostError]) -> Life:
    async def life(process: CrowdProcess, text: str) -> TurnResult:
        await asyncio.sleep(0)
        if process.host.starts[process.spec.path] <= times:
            raise lost(process.spec)
        return done(f"{process.spec.root} with {process.spec.memory_bytes / GB:g}")

    return life


def _node_lost(spec: AgentSpec) -> AgentLostError:
    return NodeLostError(spec.path, "its node died", spec.node)


def _no_memory(spec: AgentSpec) -> AgentLostError:
    return MemoryExceededError(spec.path, "Ray's monitor ended it", 2 * GB, spec.memory_bytes)


async def test_agents_spread_and_each_tree_is_made_where_its_agent_lives() -> None:
    crowd, made = _crowd(), list[str]()
    results = await asyncio.gather(
        *(crowd.runtime.run(_spec(f"sub/{n}"), user(""), prepare=_trees(made)) for n in range(6))
    )
    assert all(result.is_success for result in results)
    assert sorted(made) == ["", "", "b", "b", "c", "c"]
    assert {(s.node, s.root) for s in crowd.host.specs.values()} == {
        ("", "/tree/on/home"),
        ("b", "/tree/on/b"),
        ("c", "/tree/on/c"),
    }


@pytest.mark.parametrize("kind", ["main", "planner", "resolver", "synthesis"])
async def test_agents_that_need_the_runs_own_files_live_at_home(kind: str) -> None:
    crowd = _crowd()
    held = [
        asyncio.create_task(crowd.runtime.run(_spec(f"x/{n}", kind=kind), user("")))
        for n in range(3)
    ]
    await asyncio.gather(*held)
    assert {spec.node for spec in crowd.host.specs.values()} == {""}


async def test_a_child_lives_with_its_parent_and_a_spec_with_a_node_stays_there() -> None:
    crowd = _crowd()

    async def parent(process: CrowdProcess, text: str) -> TurnResult:
        return await crowd.runtime.run_child(process.spec, "call-1", "look", "look")

    crowd.host.lives["sub/a"] = parent
    result = await crowd.runtime.run(_spec(node="c", max_depth=3), user(""))
    assert result.is_success, result.error
    assert [spec.node for spec in crowd.host.specs.values()] == ["c", "c"]


async def test_an_agent_whose_node_is_lost_goes_on_on_another_with_its_tree_made_there() -> None:
    crowd, made = _crowd(max_restarts=0), list[str]()
    crowd.host.lives["sub/a"] = _failing(2, _node_lost)
    result = await crowd.runtime.run(_spec(), user(""), prepare=_trees(made))
    assert result.is_success  # no restart was allowed: what a node does is not counted
    assert made == ["", "b", "c"]
    assert result.text == "/tree/on/c with 1"
    told = [e for e in crowd.recorded("sub/a") if isinstance(e, AgentRestarted)]
    assert [e.attempt for e in told] == [1, 2]
    assert crowd.admission.live == 0


async def test_an_agent_that_has_to_go_elsewhere_goes_before_those_that_have_not_begun() -> None:
    crowd, lives = _crowd(max_live=1), list[str]()

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        lives.append(process.spec.path)
        await asyncio.sleep(0)
        if lives == ["sub/a"]:
            raise _node_lost(process.spec)
        return done()

    crowd.host.life = life  # type: ignore[method-assign]
    names = ("sub/a", "sub/b", "sub/c", "sub/d")
    await asyncio.gather(*(crowd.runtime.run(_spec(name), user("")) for name in names))
    assert lives == ["sub/a", "sub/b", "sub/a", "sub/c", "sub/d"]  # its place was given on at once


async def test_a_node_that_fails_and_is_the_only_one_is_tried_again_but_not_for_ever() -> None:
    crowd = _crowd(node("home"))
    crowd.host.lives["sub/a"] = _failing(3, _node_lost)
    assert (await crowd.runtime.run(_spec(), user(""))).is_success
    crowd.host.lives["sub/b"] = _failing(1_000, _node_lost)
    with pytest.raises(NodeLostError):
        await crowd.runtime.run(_spec("sub/b"), user(""))
    assert crowd.host.starts["sub/b"] == 21


async def test_a_lack_of_memory_is_answered_with_twice_as_much_elsewhere_up_to_the_largest() -> (
    None
):
    crowd = _crowd(node("home", 2), node("b", 3), node("c", 5))
    crowd.host.lives["sub/a"] = _failing(2, _no_memory)
    result = await crowd.runtime.run(_spec(), user(""))
    assert result.text.endswith("with 4")
    placed = [e for e in crowd.recorded("sub/a") if isinstance(e, AgentPlaced)]
    assert [(e.node, e.memory_bytes / GB) for e in placed] == [("", 1), ("b", 2), ("c", 4)]
    crowd.host.lives["sub/b"] = _failing(1_000, _no_memory)
    with pytest.raises(MemoryExceededError, match=r"at 2 GB of 5 GB: Ray's monitor ended it"):
        await crowd.runtime.run(_spec("sub/b"), user(""))
    assert crowd.host.starts["sub/b"] == 4
    assert crowd.admission.live == 0


async def test_a_node_that_cannot_make_the_tree_is_left_once_and_the_reason_is_told() -> None:
    crowd, tried = _crowd(), list[str]()

    async def full(spec: AgentSpec) -> AgentSpec:
        tried.append(spec.node)
        if spec.node in ("", "c"):
            return spec
        raise WorkspaceError("host-b: no space left on device")

    ran = (crowd.runtime.run(_spec(f"sub/{n}"), user(""), prepare=full) for n in range(2))
    assert all(result.is_success for result in await asyncio.gather(*ran))
    assert tried == ["", "b", "c"]
    (warned,) = [
        event
        for publisher in crowd.publishers.values()
        for event in publisher.emitted
        if isinstance(event, Warned)
    ]
    told = "host-b: no space left on device; agents of this run go to other nodes"
    assert warned.text == told


async def test_a_setup_that_fails_on_every_node_is_the_users_to_mend() -> None:
    crowd, tried = _crowd(), list[str]()

    async def broken(spec: AgentSpec) -> AgentSpec:
        tried.append(spec.node)
        raise WorkspaceError("the setup command failed")

    with pytest.raises(WorkspaceError):
        await crowd.runtime.run(_spec(), user(""), prepare=broken)
    assert tried == [""]
    tried.clear()
    crowd.host.nodes = crowd.host.nodes[1:]
    await crowd.clock.advance(2)
    with pytest.raises(WorkspaceError):
        await crowd.runtime.run(_spec("sub/b"), user(""), prepare=broken)
    assert tried == ["b", "c", "b"]  # where there is no other, once more
    assert crowd.admission.live == 0


async def test_a_parent_and_its_children_move_together_and_what_was_finished_stays() -> None:
    crowd = _crowd()
    turn = asyncio.Event()

    async def parent(process: CrowdProcess, text: str) -> TurnResult:
        ask = crowd.runtime.run_child
        first = await ask(process.spec, "call-1", "one", "one")
        second = asyncio.create_task(ask(process.spec, "call-2", "two", "two"))
        if process.attempt == 0:
            await turns()
            raise _node_lost(process.spec)
        turn.set()
        return done(f"{first.text}; {(await second).text}")

    async def child(process: CrowdProcess, text: str) -> TurnResult:
        if text == "two" and not turn.is_set():
            await turns(20)
            raise _node_lost(process.spec)
        return done(f"{text} on {process.spec.node}")

    crowd.host.lives["sub/a"] = parent
    crowd.host.life = child  # type: ignore[method-assign]
    result = await crowd.runtime.run(_spec(max_depth=3), user(""))
    assert result.text == "one on ; two on b"
    assert crowd.admission.live == 0


async def test_an_agent_that_is_cancelled_when_its_node_is_lost_is_not_begun_again() -> None:
    crowd = _crowd()

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise _node_lost(process.spec) from None
        return done()

    crowd.host.lives["sub/a"] = life
    running = asyncio.create_task(crowd.runtime.run(_spec(), user("")))
    await turns()
    await crowd.runtime.cancel("sub/a")
    assert (await running).outcome == "cancelled"
    assert crowd.host.starts["sub/a"] == 1


async def test_an_agent_whose_node_is_about_to_go_leaves_it_and_goes_on_elsewhere() -> None:
    crowd, made = _crowd(max_restarts=0), list[str]()
    begun = asyncio.Event()

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        begun.set()
        if process.host.starts[process.spec.path] == 1:
            await asyncio.Event().wait()
        return done(process.spec.root)

    for path in ("sub/a", "sub/b", "sub/c"):
        crowd.host.lives[path] = life
    works = []
    for path in ("sub/a", "sub/b", "sub/c"):
        begun.clear()
        run = crowd.runtime.run(_spec(path), user(""), prepare=_trees(made))
        works.append(asyncio.create_task(run))
        await begun.wait()
    assert made == ["", "b", "c"]
    await crowd.runtime.leave({"b"})
    assert (await works[1]).text in ("/tree/on/home", "/tree/on/c")
    assert [work.done() for work in works] == [False, True, False]  # the others live elsewhere
    (told,) = [e for e in crowd.recorded("sub/b") if isinstance(e, AgentRestarted)]
    assert told.reason == "it is about to go"
    await crowd.runtime.close()
    await asyncio.gather(*works, return_exceptions=True)
    assert crowd.admission.live == 0


async def test_children_stay_with_their_parent_on_a_node_that_is_about_to_go() -> None:
    crowd = _crowd()
    go_on = asyncio.Event()

    async def child(process: CrowdProcess, text: str) -> TurnResult:
        await go_on.wait()
        return done("looked")

    async def parent(process: CrowdProcess, text: str) -> TurnResult:
        crowd.host.life = child  # type: ignore[method-assign]
        return await crowd.runtime.run_child(process.spec, "call-1", "look", "look")

    crowd.host.lives["sub/a"] = parent
    work = asyncio.create_task(crowd.runtime.run(_spec(node="b", max_depth=3), user("")))
    while len(crowd.host.live) < 2:
        await asyncio.sleep(0)
    await crowd.runtime.leave({"b"})
    assert len(crowd.host.live) == 2
    go_on.set()
    assert (await work).text == "looked"


async def test_labels_are_for_agents_that_may_live_anywhere() -> None:
    gpu = (("pool", "gpu"),)
    crowd = _crowd(node("home"), node("b", labels=gpu))
    for path, kind in [("sub/a", "subagent"), ("planner", "planner")]:
        await crowd.runtime.run(_spec(path, kind=kind, labels=gpu), user(""))
    assert {path: spec.node for path, spec in crowd.host.specs.items()} == {
        "sub/a": "b",
        "planner": "",
    }
