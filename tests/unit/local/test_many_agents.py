"""Ten thousand agents at one runtime: they are taken in, listed, and let go of."""

import asyncio

import pytest

from codetether_ray.core.messages import user
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from tests.unit.local.crowd import Crowd, CrowdProcess

COUNT = 10_000


def spec(number: int) -> AgentSpec:
    return AgentSpec(
        path=f"sub/{number}",
        kind="subagent",
        name=str(number),
        model="local/m",
        root="/",
        correlation=Correlation(run_id="swm_many"),
    )


@pytest.mark.matrix
async def test_ten_thousand_wait_are_listed_and_are_cancelled_one_and_all() -> None:
    crowd = Crowd(max_live=2)

    async def hang(process: CrowdProcess, text: str) -> TurnResult:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    for number in range(COUNT):
        crowd.host.lives[f"sub/{number}"] = hang
    works = [asyncio.ensure_future(crowd.runtime.run(spec(n), user("do it"))) for n in range(COUNT)]
    while len(crowd.host.live) < 2:
        await asyncio.sleep(0)
    states = [status.state for status in await crowd.runtime.list()]
    assert (len(states), states.count("queued"), states.count("running")) == (COUNT, COUNT - 2, 2)
    assert await crowd.runtime.cancel("sub/9999")
    assert (await works[-1]).outcome == "cancelled"
    for work in works:
        work.cancel()
    await asyncio.wait(works)
    assert all(work.cancelled() for work in works[:-1])
    assert await crowd.runtime.list() == ()
    assert crowd.host.peak == 2
    assert crowd.admission.live == 0
