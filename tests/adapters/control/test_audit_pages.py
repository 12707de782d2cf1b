"""The audit log in pages, and a run's events in ranges of bytes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from codetether_ray.bootstrap.auditing.opening import acting
from codetether_ray.ports.audit import Action
from tests.adapters.control.scene import Plane, opened


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    for number in range(25):
        action = Action(category="config", action="config.set", resource=f"key.{number}")
        with acting(tmp_path / "data", action):
            pass
    async with opened(tmp_path / "data") as found:
        yield found


async def test_pages_hold_each_entry_once_newest_first(plane: Plane) -> None:
    found, cursor = [], ""
    while True:
        path = f"/v1/audit/events?category=config&limit=7&cursor={cursor}"
        status, page = await plane.ask("GET", path)
        assert (status, len(page["entries"]) <= 7) == (200, True)
        found += page["entries"]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert [e["resource"] for e in found] == [f"key.{n}" for n in reversed(range(25))]
    status, page = await plane.ask(
        "POST", "/v1/audit/query", json={"resource": "key.1?", "limit": 100}
    )
    assert [e["resource"] for e in page["entries"]] == [f"key.{n}" for n in range(19, 9, -1)]


@pytest.mark.parametrize(
    "query",
    ["cursor=x", "cursor=YQ", "since=tomorrow", "until=99999999-01-01", "since=1e400d", "limit=0"],
)
async def test_a_question_that_makes_no_sense_is_refused(plane: Plane, query: str) -> None:
    status, _ = await plane.ask("GET", f"/v1/audit/events?{query}")
    assert status in (400, 422)


async def test_the_log_is_an_administrators(plane: Plane) -> None:
    bob = await plane.token_of("bob")
    for path in ("/v1/audit/events", "/v1/audit/replay?session_id=x"):
        assert (await plane.ask("GET", path, bob))[0] == 403


@pytest.mark.parametrize("id", ["../audit", "..%2F..", "x", "ses_0000000000_00000000"])
async def test_no_path_hides_in_the_id_of_a_session(plane: Plane, id: str) -> None:
    for path in ("/v1/audit/replay", "/v1/audit/replay/index"):
        status, problem = await plane.ask("GET", f"{path}?session_id={id}")
        assert (status, problem["kind"]) == (404, "UnknownRun")
