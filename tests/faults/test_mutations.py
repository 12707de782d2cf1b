"""The tests of this directory would notice: each mutation of the program turns one of them red.

Without its mutation each of these tests passes; the suite runs them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.agent.auditing import Auditor
from codetether_ray.agent.steps import Steps
from codetether_ray.core.errors import JournalError
from codetether_ray.disk.files import Disk
from codetether_ray.journal import blobs, lines, recovery
from codetether_ray.journal.sink import RunSink
from codetether_ray.workspace.hub import Hub
from tests.faults import test_every_bit, test_power, test_trees_first, test_two_writers

Patch = pytest.MonkeyPatch


def test_without_the_check_of_the_generation_a_promise_is_lost(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(RunSink, "_is_superseded", lambda self: False)
    _an_order_is_wrong(tmp_path, monkeypatch)


def test_with_the_check_before_the_write_alone_a_promise_is_lost(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    write, is_superseded = RunSink._write, RunSink._is_superseded

    def check_and_write(self: RunSink, chunks: Any) -> None:
        if is_superseded(self):
            raise self._replaced()
        write(self, chunks)

    monkeypatch.setattr(RunSink, "_write", check_and_write)
    monkeypatch.setattr(RunSink, "_is_superseded", lambda self: False)
    _an_order_is_wrong(tmp_path, monkeypatch)


def test_with_the_tail_read_before_the_generation_is_raised_a_promise_is_lost(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    raise_generation = recovery.raise_generation
    postponed: list[Any] = []

    def later(directory: Path, *rest: Any) -> int:
        if not any(directory.glob("gen.*")):
            return raise_generation(directory, *rest)
        postponed[:] = [directory, *rest]
        return 2

    def at(place: str) -> None:
        if place == "tail.read" and postponed:
            raise_generation(*postponed)
            postponed.clear()

    monkeypatch.setattr(recovery, "raise_generation", later)
    monkeypatch.setattr(recovery, "hit", at)
    _an_order_is_wrong(tmp_path, monkeypatch)


def _an_order_is_wrong(folder: Path, monkeypatch: Patch) -> None:
    with pytest.raises((AssertionError, JournalError)):
        test_two_writers.test_no_promised_record_is_lost_in_any_order_of_an_append_and_a_take_over(
            folder, monkeypatch, has_segment=True, rolls=False
        )


async def test_without_the_flush_of_the_directory_a_promise_is_lost(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(RunSink, "_name", lambda self: setattr(self, "_is_named", True))
    with pytest.raises(AssertionError):
        await _cut_the_power(tmp_path)


async def test_without_the_flush_of_the_lines_a_promise_is_lost(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    def write(self: RunSink, waiting: list[bytes]) -> None:
        if self._file is None:
            self._begin()
        assert self._file is not None
        self._file.write(b"".join(waiting))
        waiting.clear()

    monkeypatch.setattr(RunSink, "_flush", write)
    with pytest.raises((AssertionError, JournalError)):
        await _cut_the_power(tmp_path)


async def test_with_a_blob_written_behind_its_line_a_promise_is_lost(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr("codetether_ray.journal.encode.INLINE_BYTES", test_power._BLOB_BYTES)

    def unflushed(disk: Disk, directory: Path, blob: blobs.Blob) -> None:
        path = blobs.blob_path(directory, blob.digest)
        path.parent.mkdir(exist_ok=True)
        if not disk.exists(path):
            file = disk.create(path)
            file.write(blob.data)
            file.close()

    monkeypatch.setattr("codetether_ray.journal.sink.store_blob", unflushed)
    with pytest.raises((AssertionError, JournalError)):
        await _cut_the_power(tmp_path)


async def test_without_the_wait_for_its_start_a_tool_is_too_early(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async def allowed(self: Steps, group: Any, step: int) -> tuple[str, ...]:
        known = self._limits.effects
        return await self._auditor.begin(
            *(self._auditor.tool(p.call, known.get(p.call.name), step) for p in group)
        )

    monkeypatch.setattr(Steps, "_allowed", allowed)
    with pytest.raises(AssertionError):
        await _run_tools(tmp_path)


async def test_without_the_wait_for_its_intent_a_tool_is_too_early(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    later: set[asyncio.Task[Any]] = set()

    async def beside(self: Auditor, keeping: Awaitable[None], *actions: Any) -> tuple[str, ...]:
        await keeping
        later.add(asyncio.create_task(self.begin(*actions)))
        return ("",) * len(actions)

    monkeypatch.setattr(Auditor, "beside", beside)
    with pytest.raises(AssertionError):
        await _run_tools(tmp_path)
    await asyncio.gather(*later)


@pytest.mark.damages_runs
async def test_without_the_checksum_a_flipped_bit_is_read(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    run = await test_every_bit.make_run(tmp_path, monkeypatch)
    monkeypatch.setattr(lines, "_check_sum", lambda line: None)
    with pytest.raises((AssertionError, ValueError)):
        test_every_bit.test_every_flipped_bit_of_a_marked_open_segment_is_named(run, 0)


async def test_with_the_ref_moved_behind_the_record_a_tree_is_not_kept(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    move: Callable[..., bool] = Hub.move_ref
    waiting: list[Callable[[], bool]] = []

    def one_late(self: Hub, ref: str, new: str, old: str) -> bool:
        for earlier in waiting:
            earlier()
        waiting[:] = [lambda: move(self, ref, new, old)]
        return True

    monkeypatch.setattr(Hub, "move_ref", one_late)
    with pytest.raises(AssertionError):
        await test_trees_first.test_a_result_is_recorded_when_the_hub_has_the_tree_that_it_names(
            tmp_path
        )


async def _cut_the_power(folder: Path) -> None:
    test = test_power.test_wherever_the_power_is_cut_nothing_promised_is_lost_and_the_run_goes_on
    await test(folder, 0)


async def _run_tools(folder: Path) -> None:
    await test_power.test_a_tool_runs_only_when_its_start_and_its_intent_are_durable(folder)
