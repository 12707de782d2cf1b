"""All commands of an agent together stay within what was set aside for it."""

import asyncio
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codetether_ray.core.errors import MemoryExceededError
from codetether_ray.sandbox import shares
from codetether_ray.sandbox.limits import (
    GroupLimit,
    WatchedLimit,
    descendants,
    open_group,
    private_bytes,
)
from codetether_ray.sandbox.local import LocalSandbox
from codetether_ray.sandbox.shares import MemoryShare

MB = 1_000_000
LIMIT = 120 * MB


def _hungry(megabytes: int, seconds: float = 20) -> list[str]:
    code = f"import time; x = b'x' * {megabytes * MB}; print('had it'); time.sleep({seconds})"
    return [sys.executable, "-S", "-c", code]


@pytest.fixture(params=["group", "watched"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    kind: str = request.param
    if kind == "watched":
        monkeypatch.setattr(shares, "open_limit", lambda name, limit: WatchedLimit(limit))
    else:
        group = open_group("a try", LIMIT)
        if group is None:
            pytest.skip("this machine lets us make no control group")
        group.close()
    before = _groups()
    yield kind
    assert _groups() == before  # none is left behind


def _groups() -> set[str]:
    mine = f"codetether-{os.getpid()}-*"
    return {str(path) for path in Path("/sys/fs/cgroup").rglob(mine)}


def _sandbox(*, may_grow: bool) -> LocalSandbox:
    return LocalSandbox(share=MemoryShare("sub/a", "run sub/a", LIMIT, may_grow=may_grow))


async def test_a_command_that_takes_too_much_is_ended_and_its_agent_may_have_more(
    kind: str, tmp_path: Path
) -> None:
    with pytest.raises(MemoryExceededError) as raised:
        await _sandbox(may_grow=True).run(_hungry(400), cwd=tmp_path, timeout_s=30)
    assert raised.value.agent == "sub/a"
    assert raised.value.limit_bytes == LIMIT
    assert raised.value.peak_bytes >= LIMIT * 0.9


async def test_where_there_is_no_more_the_model_is_told(kind: str, tmp_path: Path) -> None:
    done = await _sandbox(may_grow=False).run(_hungry(400), cwd=tmp_path, timeout_s=30)
    assert done.exit_code != 0
    assert not done.timed_out
    assert "together may take 120 MB of memory" in done.output


async def test_commands_that_run_at_once_are_counted_together(kind: str, tmp_path: Path) -> None:
    sandbox = _sandbox(may_grow=False)
    done = await asyncio.gather(
        *(sandbox.run(_hungry(70), cwd=tmp_path, timeout_s=30) for _ in range(2))
    )
    assert any("together may take" in one.output for one in done)


async def test_what_stays_within_is_left_alone_even_by_many_processes(
    kind: str, tmp_path: Path
) -> None:
    code = "for i in 1 2 3; do head -c 10000000 /dev/zero | tail -c 10000000 | wc -c; done"
    done = await _sandbox(may_grow=True).run(code, cwd=tmp_path)
    assert done.output.split() == ["10000000"] * 3


async def test_a_descendant_that_left_its_session_is_counted(kind: str, tmp_path: Path) -> None:
    program = shlex.join(_hungry(400))
    with pytest.raises(MemoryExceededError):
        await _sandbox(may_grow=True).run(f"setsid {program}; true", cwd=tmp_path, timeout_s=30)


def test_a_group_of_a_process_that_is_gone_is_removed_by_the_next() -> None:
    first = open_group("one", LIMIT)
    if not isinstance(first, GroupLimit):
        pytest.skip("this machine lets us make no control group")
    gone = Path(first.scope).with_name("codetether-999999999-0000")
    gone.mkdir()
    second = open_group("two", LIMIT)
    assert second is not None
    assert not gone.exists()
    first.close()
    second.close()


def test_a_process_without_children_has_none_and_one_that_is_gone_takes_nothing() -> None:
    assert private_bytes(os.getpid()) > MB
    assert private_bytes(999_999_999) == 0
    assert list(descendants(999_999_999)) == []
