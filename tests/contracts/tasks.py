"""What every store of A2A tasks promises."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from codetether_ray.core.errors import UsageError
from codetether_ray.ports.tasks import PushRecord, TaskQuery, TaskRecord, TaskStore

NOW = 1_000_000.0


def a_task(id: str = "t1", version: int = 1, **changes: Any) -> TaskRecord:
    made = TaskRecord(
        id=id,
        context_id="c1",
        owner="ada",
        state="working",
        version=version,
        updated_at=NOW + version,
        payload=f"{id} {version}".encode(),
    )
    return replace(made, **changes)


def held(id: str = "t1", version: int = 1, holder: str = "r1", **changes: Any) -> TaskRecord:
    return a_task(
        id, version, **{"holder": holder, "held_until": NOW + 100, "order": b"do", **changes}
    )


def a_push(id: str = "p1", task_id: str = "t1", owner: str = "ada") -> PushRecord:
    return PushRecord(task_id=task_id, id=id, owner=owner, payload=f"{task_id} {id}".encode())


async def listed(store: TaskStore, **query: Any) -> list[str]:
    page = await store.list(TaskQuery(**{"owner": "ada", **query}))
    return [task.id for task in page.tasks]


class TaskStoreContract:
    """A store is given by the fixture `store`; it is empty."""

    async def test_what_was_saved_is_there_as_it_was(self, store: TaskStore) -> None:
        record = held(payload=b"\0\xff" * 9, context_id="é", order=b"\0", state="auth-required")
        assert await store.save([record]) == ()
        assert await store.get("t1", "ada") == record
        assert await store.get("t1", None) == record
        assert await store.get("none", None) is None

    async def test_texts_of_clients_may_hold_anything(self, store: TaskStore) -> None:
        odd = "a\0\x1a0\x1a1'\\\N{SNOWMAN}\ufffe"
        await store.save([a_task("t1", context_id=odd, owner=odd), a_task("t2", context_id="a")])
        assert await store.get("t1", odd) == a_task("t1", context_id=odd, owner=odd)
        assert await listed(store, owner=odd, context_id=odd) == ["t1"]
        assert await listed(store, context_id="a\0") == []
        assert await store.get("t1\0", None) is None
        assert await store.renew(odd, ["t\0"], NOW) == ("t\0",)
        await store.save_push(a_push(odd))
        assert await store.pushes("t1", "ada") == (a_push(odd),)
        assert await store.delete_push("t1", "a", "ada") is False
        assert await store.delete_push("t1", odd, "ada") is True

    async def test_nobody_else_finds_a_task(self, store: TaskStore) -> None:
        await store.save([a_task(), a_task("t2", owner="team/ada")])
        assert await store.get("t1", "bob") is None
        assert await store.get("t1", "") is None
        assert await store.get("t2", "ada") is None
        assert await listed(store, owner="bob") == []
        assert await listed(store) == ["t1"]

    async def test_a_version_that_is_not_newer_is_refused_and_changes_nothing(
        self, store: TaskStore
    ) -> None:
        await store.save([a_task(version=3)])
        assert await store.save([a_task(version=3, payload=b"other"), a_task("t2")]) == ("t1",)
        assert await store.save([a_task(version=2)]) == ("t1",)
        assert await store.get("t1", None) == a_task(version=3)
        assert await store.get("t2", None) == a_task("t2")
        assert await store.save([a_task(version=5)]) == ()

    async def test_a_save_that_is_repeated_is_not_refused(self, store: TaskStore) -> None:
        for _ in range(2):
            assert await store.save([held(), a_task("t2")]) == ()
        await store.renew("r1", ["t1"], NOW + 500)
        assert await store.save([held()]) == ()
        kept = await store.get("t1", None)
        assert kept is not None
        assert kept.held_until == NOW + 500

    async def test_another_owner_cannot_take_a_task_by_its_id(self, store: TaskStore) -> None:
        await store.save([a_task()])
        assert await store.save([a_task(version=9, owner="bob")]) == ("t1",)
        assert await store.get("t1", "ada") == a_task()

    async def test_who_holds_a_task_alone_changes_it_until_the_lease_runs_out(
        self, store: TaskStore
    ) -> None:
        await store.save([held()])
        assert await store.save([held(version=2, holder="r2")]) == ("t1",)
        assert await store.save([a_task(version=2)]) == ("t1",)
        assert await store.save([held(version=2)]) == ()
        assert await store.save([held(version=3, holder="r2", updated_at=NOW + 100)]) == ()
        assert await store.save([held(version=4)]) == ("t1",)

    async def test_who_lets_go_leaves_the_task_to_anybody(self, store: TaskStore) -> None:
        await store.save([held()])
        await store.save([held(version=2, held_until=0.0, order=b"", state="input-required")])
        assert await store.adopt("r2", NOW + 999, NOW + 1999, 10) == ()
        assert await store.save([held(version=3, holder="r2")]) == ()

    async def test_several_versions_in_one_save_are_done_in_order(self, store: TaskStore) -> None:
        several = [a_task(version=1), a_task(version=2), a_task(version=2, payload=b"late")]
        assert await store.save(several) == ("t1",)
        assert await store.get("t1", None) == a_task(version=2)
        assert await store.save([]) == ()

    async def test_saves_of_one_caller_are_done_in_the_order_of_its_calls(
        self, store: TaskStore
    ) -> None:
        calls = [store.save([a_task(version=n)]) for n in range(1, 40)]
        assert set(await asyncio.gather(*calls)) == {()}
        assert await store.get("t1", None) == a_task(version=39)

    async def test_many_saves_at_once_are_all_there(self, store: TaskStore) -> None:
        calls = [store.save([a_task(f"t{n}"), a_task(f"u{n}", version=n)]) for n in range(300)]
        assert set(await asyncio.gather(*calls)) == {()}
        page = await store.list(TaskQuery(owner="ada", page_size=1000))
        assert page.total == len(page.tasks) == 600

    async def test_payloads_of_megabytes_come_back_whole(self, store: TaskStore) -> None:
        big = bytes(range(256)) * 16_000
        assert await store.save([a_task(payload=big, order=big[:9]), a_task("t2")]) == ()
        kept = await store.get("t1", "ada")
        assert kept is not None
        assert kept.payload == big

    # -- lists ------------------------------------------------------------------------------------

    async def test_tasks_are_listed_newest_change_first(self, store: TaskStore) -> None:
        await store.save([a_task("a", 2), a_task("b", 3), a_task("c", 1), a_task("d", 2)])
        assert await listed(store) == ["b", "d", "a", "c"]

    async def test_a_list_is_filtered_by_context_state_and_time(self, store: TaskStore) -> None:
        await store.save(
            [a_task("a", 1), a_task("b", 2, context_id="c2"), a_task("c", 3, state="completed")]
        )
        assert await listed(store, context_id="c2") == ["b"]
        assert await listed(store, state="completed") == ["c"]
        assert await listed(store, updated_after=NOW + 2) == ["c", "b"]
        assert await listed(store, context_id="c2", state="completed") == []

    async def test_pages_follow_each_other_and_know_how_many_there_are(
        self, store: TaskStore
    ) -> None:
        await store.save([a_task(f"t{n:02}", version=1 + n // 3) for n in range(10)])
        seen: list[str] = []
        token, pages = "", 0
        while token or not pages:
            page = await store.list(TaskQuery(owner="ada", page_size=4, page_token=token))
            assert page.total == 10
            seen += [task.id for task in page.tasks]
            token, pages = page.next_page_token, pages + 1
        assert (pages, len(seen)) == (3, 10)
        assert seen == await listed(store)

    async def test_a_full_last_page_has_no_next_one(self, store: TaskStore) -> None:
        await store.save([a_task("a"), a_task("b")])
        page = await store.list(TaskQuery(owner="ada", page_size=2))
        assert page.next_page_token == ""

    async def test_pages_show_no_task_twice_and_all_that_rested_while_tasks_change(
        self, store: TaskStore
    ) -> None:
        await store.save([a_task(f"t{n:02}", version=n + 1) for n in range(20)])
        seen: list[str] = []
        token, round = "", 0
        while token or not round:
            page = await store.list(TaskQuery(owner="ada", page_size=3, page_token=token))
            seen += [task.id for task in page.tasks]
            token, round = page.next_page_token, round + 1
            await store.save([a_task(f"t{n:02}", version=100 + round) for n in (0, 10, 19)])
            await store.save([a_task(f"new{round}", version=200 + round)])
        assert len(seen) == len(set(seen))
        assert {f"t{n:02}" for n in range(20) if n not in (0, 10, 19)} <= set(seen)

    @pytest.mark.parametrize(
        "token", ["x", "AAAA", "AX_vv73-4AAAAA", "é", "A" * 9000, "====", "\0"]
    )
    async def test_a_page_token_of_somebody_else_is_refused(
        self, store: TaskStore, token: str
    ) -> None:
        with pytest.raises(UsageError, match="page token"):
            await store.list(TaskQuery(owner="ada", page_token=token))

    async def test_a_page_token_shows_nothing_of_another_owner(self, store: TaskStore) -> None:
        await store.save([a_task("a"), a_task("b"), a_task("c", owner="bob")])
        token = (await store.list(TaskQuery(owner="ada", page_size=1))).next_page_token
        assert await listed(store, owner="bob", page_token=token) == []

    # -- leases -----------------------------------------------------------------------------------

    async def test_a_lease_is_prolonged_by_its_holder_alone(self, store: TaskStore) -> None:
        await store.save([held("a"), held("b"), held("c", holder="r2")])
        lost = await store.renew("r1", ["a", "b", "c", "none", "a"], NOW + 300)
        assert sorted(lost) == ["c", "none"]
        assert await store.renew("r1", [], NOW) == ()
        assert await store.adopt("r3", NOW + 299, NOW + 900, 10) != ()
        kept = await store.get("a", None)
        assert kept is not None
        assert (kept.holder, kept.held_until, kept.version) == ("r1", NOW + 300, 1)

    async def test_a_lease_that_ran_out_is_prolonged_where_nobody_took_the_task(
        self, store: TaskStore
    ) -> None:
        await store.save([held(held_until=NOW - 5)])
        assert await store.renew("r1", ["t1"], NOW + 300) == ()
        assert await store.adopt("r2", NOW, NOW + 9, 10) == ()

    async def test_what_nobody_holds_any_more_is_adopted_the_longest_forsaken_first(
        self, store: TaskStore
    ) -> None:
        await store.save([held("a", held_until=NOW - 1), held("b", held_until=NOW - 2), held("c")])
        await store.save([held("d", held_until=NOW - 9, order=b"")])
        await store.save([held("e", held_until=NOW, state="completed")])
        first = await store.adopt("r2", NOW, NOW + 50, 1)
        assert [task.id for task in first] == ["b"]
        assert first[0] == held("b", holder="r2", held_until=NOW + 50)
        assert await store.get("b", None) == first[0]
        rest = await store.adopt("r2", NOW, NOW + 50, 10)
        assert [task.id for task in rest] == ["a", "e"]
        assert await store.adopt("r2", NOW, NOW + 50, 10) == ()
        assert await store.adopt("r2", NOW + 999, NOW + 50, 0) == ()

    async def test_an_old_holder_finds_out_that_it_has_lost_the_task(
        self, store: TaskStore
    ) -> None:
        await store.save([held(held_until=NOW - 1)])
        await store.adopt("r2", NOW, NOW + 50, 10)
        assert await store.save([held(version=2)]) == ("t1",)
        assert await store.renew("r1", ["t1"], NOW + 90) == ("t1",)

    async def test_of_many_that_adopt_at_once_each_task_goes_to_one(self, store: TaskStore) -> None:
        await store.save([held(f"t{n}", held_until=NOW - n) for n in range(60)])
        got = await asyncio.gather(*(store.adopt(f"r{n % 6}", NOW, NOW + 50, 7) for n in range(12)))
        while more := await store.adopt("r9", NOW, NOW + 50, 7):
            got.append(more)
        ids = [task.id for tasks in got for task in tasks]
        assert sorted(ids) == sorted(f"t{n}" for n in range(60))
        for task in (task for tasks in got for task in tasks):
            kept = await store.get(task.id, None)
            assert kept == task

    # -- pushes -----------------------------------------------------------------------------------

    async def test_pushes_are_kept_replaced_and_removed_by_their_owner(
        self, store: TaskStore
    ) -> None:
        for push in (a_push("b"), a_push("a"), a_push("a", owner="bob"), a_push("a", "t2")):
            await store.save_push(push)
        assert await store.pushes("t1", "ada") == (a_push("a"), a_push("b"))
        await store.save_push(replace(a_push("a"), payload=b"new"))
        assert (await store.pushes("t1", "ada"))[0].payload == b"new"
        assert len(await store.pushes("t1", None)) == 3
        assert await store.delete_push("t1", "b", "bob") is False
        assert await store.delete_push("t1", "b", "ada") is True
        assert await store.delete_push("t1", "b", "ada") is False
        assert [push.id for push in await store.pushes("t1", "ada")] == ["a"]
        assert await store.pushes("none", None) == ()

    # -- what goes --------------------------------------------------------------------------------

    async def test_tasks_that_ended_long_ago_go_with_their_pushes_a_few_at_a_time(
        self, store: Any
    ) -> None:
        await store.save([a_task(f"e{n}", state="completed") for n in range(5)])
        await store.save([a_task("works"), a_task("new", 500, state="failed")])
        for id in ("e0", "works"):
            await store.save_push(a_push(task_id=id))
        assert [await store.prune(NOW + 100, 3) for _ in range(3)] == [3, 2, 0]
        assert sorted(await listed(store)) == ["new", "works"]
        assert await store.pushes("e0", None) == ()
        assert await store.pushes("works", None) == (a_push(task_id="works"),)
