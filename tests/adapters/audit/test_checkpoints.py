"""When a checkpoint is signed, and what the lent log of a process does."""

import asyncio
import os
from pathlib import Path

import pytest

from codetether_ray.audit.chain import ChainSink, Chunk
from codetether_ray.audit.places import chains, checkpoint_dir, node_name
from codetether_ray.audit.verify import verify
from codetether_ray.bootstrap.auditing.opening import acting, audited, open_audit
from codetether_ray.core.errors import AuditError
from codetether_ray.disk.files import RealDisk
from tests.adapters.audit.scene import action, entries


def points(data_dir: Path) -> int:
    return len(list(checkpoint_dir(data_dir, node_name()).glob("*.json")))


def write(sink: ChainSink, lines: int) -> None:
    members = '"id":"act_1","timestamp":"2026-11-22T00:00:00.000000Z","outcome":"intent"'
    sink.commit([Chunk([members] * lines)])
    sink.mark()


def test_a_checkpoint_is_signed_every_so_many_lines(tmp_path: Path) -> None:
    sink = ChainSink(tmp_path, RealDisk(), lambda: 1.0, lines=10)
    for _ in range(4):
        write(sink, 5)
    assert points(tmp_path) == 2
    assert verify(tmp_path).is_sound


def test_a_checkpoint_is_signed_after_some_time(tmp_path: Path) -> None:
    now = 100.0
    sink = ChainSink(tmp_path, RealDisk(), lambda: now, seconds=30)
    write(sink, 1)
    assert points(tmp_path) == 0
    now += 31
    write(sink, 1)
    assert points(tmp_path) == 1
    write(sink, 1)
    assert points(tmp_path) == 1
    assert verify(tmp_path).unsigned_lines == 1


async def test_the_last_user_of_a_process_log_closes_the_chain(tmp_path: Path) -> None:
    first, second = open_audit(tmp_path), open_audit(tmp_path)
    assert first is second
    await first.begin(action(1))
    await first.close()
    await second.begin(action(2))
    await second.close()
    assert len(chains(tmp_path, node_name())) == 1
    assert verify(tmp_path).open == 0
    third = open_audit(tmp_path)
    await third.begin(action(3))
    await third.close()
    assert len(chains(tmp_path, node_name())) == 2


async def test_a_process_at_rest_has_closed_its_chain_and_may_go_on(tmp_path: Path) -> None:
    audit = open_audit(tmp_path)
    audit.conceal(["swordfish-1"])
    (id,) = await audit.begin(action(1))
    await audit.rest()
    assert verify(tmp_path).open == 1, "an action is under way"
    audit.end(id, "success")
    await audit.rest()
    assert (verify(tmp_path).open, verify(tmp_path).unsigned_lines) == (0, 0)
    (id,) = await audit.begin(action(2, resource="a swordfish-1"))
    audit.end(id, "success")
    await audit.close()
    assert [e["resource"] for e in entries(tmp_path)] == ["sha256:0001", "a [masked]"]
    assert len(chains(tmp_path, node_name())) == 2


async def test_a_failed_action_says_what_failed(tmp_path: Path) -> None:
    audit = open_audit(tmp_path)

    async def fail() -> None:
        async with audited(audit, action()) as done:
            done.detail["tries"] = 2
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await fail()
    await audit.close()
    (entry,) = entries(tmp_path)
    assert entry["outcome"] == "failure"
    assert entry["detail"] == {"tries": 2, "error": "ValueError"}


async def test_a_cancelled_action_is_a_failure(tmp_path: Path) -> None:
    audit = open_audit(tmp_path)

    began = asyncio.Event()

    async def work() -> None:
        async with audited(audit, action()):
            began.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await began.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await audit.close()
    (entry,) = entries(tmp_path)
    assert (entry["outcome"], entry["detail"]) == ("failure", {"error": "CancelledError"})


def test_an_action_that_must_work_does_so_with_a_notice(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("in the way")
    said: list[str] = []
    with acting(tmp_path, action(), notice=said.append) as done:
        done.detail["n"] = 1
    (sentence,) = said
    assert sentence.startswith("not in the audit log: ")
    with pytest.raises(AuditError), acting(tmp_path, action()):
        pytest.fail("it was done all the same")


def test_a_forked_child_writes_a_chain_of_its_own(tmp_path: Path) -> None:
    parent = open_audit(tmp_path)
    parent.begin_now(action(1))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with acting(tmp_path, action(2)):
                code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    parent.begin_now(action(3))
    parent.close_now()
    assert sorted(str(e["resource"])[-1] for e in entries(tmp_path)) == ["1", "2", "3"]
    assert len(chains(tmp_path, node_name())) == 2
    assert verify(tmp_path).is_sound
