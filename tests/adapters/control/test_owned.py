"""Whose runs there are: what an owner, a tenant's administrator and everybody's finds."""

import asyncio
from pathlib import Path

import pytest

from codetether_ray.bootstrap.control import owned
from codetether_ray.bootstrap.control.following import follow
from codetether_ray.bootstrap.truth.place import LocalHome, truth_here
from codetether_ray.core import events as e
from codetether_ray.core.errors import UnknownRunError, UsageError
from codetether_ray.core.events import Event, Record
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.spec import Correlation
from codetether_ray.local.journal import LocalJournal

NOW = 1_790_000_000.0
pytestmark = pytest.mark.damages_runs


@pytest.fixture
def home(tmp_path: Path) -> LocalHome:
    return LocalHome(data_dir=tmp_path)


def _record(run_id: str, event: Event) -> Record:
    return Record(correlation=Correlation(run_id=run_id), agent="run", event=event, time=NOW)


def _began(principal: str, *, resumed: bool = False) -> Event:
    return e.RunStarted(
        kind="swarm",
        title="a task",
        directory="/x",
        command={"principal": principal, "directory": "/x"},
        resumed=resumed,
    )


def _asked(step: int) -> Event:
    return e.ModelRequested(step=step, attempt=0, model="p/m", digest="", messages=1)


async def _opened(home: LocalHome, principal: str) -> tuple[str, LocalJournal]:
    run_id = new_run_id("swarm")
    journal = await LocalJournal.open(home.data_dir, run_id)
    await journal.append([_record(run_id, _began(principal))])
    return run_id, journal


async def _over(home: LocalHome, principal: str) -> str:
    run_id, journal = await _opened(home, principal)
    await journal.append([_record(run_id, e.RunFinished(outcome="success", summary={"a": 1}))])
    await journal.close()
    await asyncio.sleep(0.002)  # ids are of milliseconds
    return run_id


@pytest.mark.parametrize(
    ("owner", "finds", "not_those"),
    [
        (None, ("", "a", "t/a"), ()),
        ("a", ("a",), ("", "ab", "t/a", "A")),
        ("t/*", ("t/a", "t/b"), ("", "t", "tt/a", "a")),
        ("t/a", ("t/a",), ("t/b", "a", "t/*")),
    ],
)
def test_an_owner_is_one_a_tenant_or_everybody(
    owner: str | None, finds: tuple[str, ...], not_those: tuple[str, ...]
) -> None:
    assert [one for one in (*finds, *not_those) if owned.is_of(owner, one)] == list(finds)


async def test_pages_hold_the_owners_runs_alone_newest_first(home: LocalHome) -> None:
    mine = [await _over(home, "t/alice") for _ in range(5)]
    others = [await _over(home, "bob"), await _over(home, "t/carol")]
    found, behind = [], ""
    while True:
        page = owned.page(home, "t/alice", "", "", 2, behind, NOW)
        found += [row["id"] for row in page.rows]
        if not (behind := page.next):
            break
    assert found == mine[::-1]
    assert owned.every(home, "t/*") == [*mine, others[1]]
    assert owned.every(home, None) == sorted([*mine, *others], key=lambda id: id[4:])
    assert owned.page(home, None, "session", "", 9, "", NOW).rows == ()
    assert len(owned.page(home, None, "swarm", "finished", 99, "", NOW).rows) == 7
    row = owned.one(home, mine[0], "t/alice", NOW)
    assert (row["principal"], row["result"], row["outcome"]) == ("t/alice", {"a": 1}, "success")


async def test_what_is_anothers_is_not_there(home: LocalHome) -> None:
    run_id = await _over(home, "alice")
    assert owned.find(home, run_id[-8:], "alice") == run_id
    for ask in (
        lambda: owned.check(home, run_id, "bob"),
        lambda: owned.find(home, run_id, "bob"),
        lambda: owned.find(home, "", "alice"),
        lambda: owned.one(home, run_id, "bob", NOW),
        lambda: owned.read_on(home, run_id, "bob", 0, -1),
        lambda: owned.standing(home, run_id, "bob"),
        lambda: owned.cancel(home, run_id, "bob", "bob"),
        lambda: owned.check(home, "../../etc", None),
    ):
        with pytest.raises(UnknownRunError):
            ask()
    await _over(home, "alice")
    with pytest.raises(UsageError, match="may be any of"):
        owned.find(home, "swm_", "alice")


async def test_who_took_a_run_up_does_not_own_it(home: LocalHome) -> None:
    run_id, journal = await _opened(home, "alice")
    await journal.append([_record(run_id, _began("bob", resumed=True))])
    await journal.close()
    assert owned.owner_of(home.data_dir, run_id) == "alice"
    assert (owned.command_of(home.data_dir, run_id) or {})["principal"] == "bob"


async def test_a_run_is_followed_while_it_is_written_and_no_record_comes_twice(
    home: LocalHome,
) -> None:
    run_id, journal = await _opened(home, "alice")
    seen: list[int] = []

    async def look() -> None:
        async for record in follow(truth_here(home.data_dir), run_id, "alice"):
            seen.append(int(str(record["seq"])))

    async with asyncio.timeout(60):
        looking = asyncio.create_task(look())
        for number in range(1, 6):
            await journal.append([_record(run_id, _asked(number))])
            while len(seen) <= number:
                await asyncio.sleep(0.01)
        await journal.append([_record(run_id, e.RunFinished(outcome="success"))])
        await journal.close()
        await looking
    assert seen == list(range(7))
    later = [r["seq"] async for r in follow(truth_here(home.data_dir), run_id, "alice", after=4)]
    assert later == [5, 6]


async def test_top_shows_an_owner_nothing_of_others(home: LocalHome) -> None:
    mine, journal = await _opened(home, "alice")
    _, other = await _opened(home, "bob")
    try:
        seen = owned.look(home, "alice")
        assert [run["id"] for run in seen["runs"]] == [mine]  # type: ignore[index, union-attr, call-overload]
        assert (seen["runs_total"], seen["runs_live"], seen["data_dir"]) == (1, 1, "")
        assert owned.look(home, None)["runs_live"] == 2
    finally:
        await journal.close()
        await other.close()
