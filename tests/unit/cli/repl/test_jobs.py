"""Jobs: one in front, others behind; Ctrl-C reaches the one in front alone."""

import asyncio

from codetether_ray.cli.repl.jobs import Job, Jobs


async def forever(_: Job) -> None:
    await asyncio.Event().wait()


async def stubborn(job: Job) -> None:
    """Ends at the second cancellation."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


async def ended_jobs() -> tuple[Jobs, list[Job]]:
    ended: list[Job] = []
    return Jobs(ended=ended.append), ended


async def settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def test_an_interrupt_stops_the_job_in_front_and_none_behind() -> None:
    jobs, ended = await ended_jobs()
    behind = jobs.start(forever, "behind", in_background=True)
    front = jobs.start(forever, "front")
    await settle()
    assert jobs.front is front
    assert jobs.interrupt() is front
    await settle()
    assert ended == [front]
    assert jobs.front is None
    assert jobs.interrupt() is None
    assert jobs.under_way == (behind,)
    assert not behind.is_over
    jobs.stop_all()
    await jobs.wait()
    assert behind.is_over


async def test_the_second_interrupt_does_not_wait() -> None:
    jobs, ended = await ended_jobs()
    job = jobs.start(stubborn, "stubborn")
    await settle()
    jobs.interrupt()
    await settle()
    assert jobs.front is job
    jobs.interrupt()
    assert jobs.front is None
    assert ended == [job]
    await settle()
    assert job.is_over
    assert ended == [job]


async def test_a_job_may_be_put_behind_and_found_by_number_or_run() -> None:
    jobs, _ = await ended_jobs()
    job = jobs.start(forever, "swarm", kind="swarm")
    job.run_id = "swm_1"
    assert jobs.put_behind() is job
    assert (jobs.front, jobs.behind) == (None, (job,))
    other = jobs.start(forever, "other", in_background=True)
    assert jobs.find("") is None
    assert jobs.find("[1]") is job
    assert jobs.find("swm_1") is job
    assert jobs.find("2") is other
    assert jobs.find("3") is None
    jobs.stop_all()
    await jobs.wait()
    assert jobs.find("") is None
