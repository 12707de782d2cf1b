"""The log of one process: what is on disk when, and what happens when the disk refuses."""

import asyncio
import errno
import json
import os
import threading
from pathlib import Path

import pytest

from codetether_ray.audit.log import AuditLog
from codetether_ray.audit.places import audit_dir, chains, node_dir, node_name
from codetether_ray.audit.verify import verify
from codetether_ray.core.errors import AuditError
from codetether_ray.core.spec import Correlation
from codetether_ray.disk.files import AppendFile, RealDisk
from tests.adapters.audit.scene import action, entries, path_of, write_chain


def lines(data_dir: Path) -> list[dict[str, object]]:
    """All lines of all chains, with what the chains say of themselves left out."""
    (node,) = [node_dir(data_dir, node_name())]
    found = []
    for chain in chains(data_dir, node.name):
        for line in path_of(data_dir, chain).read_text().splitlines():
            data = json.loads(line)
            if data["category"] != "audit":
                found.append(data)
    return found


async def test_an_intent_is_on_disk_when_begin_returns(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    (id,) = await log.begin(action())
    assert [(line["id"], line["outcome"]) for line in lines(tmp_path)] == [(id, "intent")]
    await log.close()


async def test_an_outcome_joins_its_intent(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    (id,) = await log.begin(action(detail={"digest": "abc"}))
    log.end(id, "denied", detail={"rule": 4}, duration_ms=12)
    await log.close()
    (entry,) = entries(tmp_path)
    assert entry["id"] == id
    assert entry["outcome"] == "denied"
    assert entry["detail"] == {"digest": "abc", "rule": 4}
    assert entry["duration_ms"] == 12
    assert entry["run_id"] == "swm_0000000001_00000001"


async def test_an_outcome_is_written_soon_though_nothing_follows(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    (id,) = await log.begin(action())
    log.end(id, "success")
    async with asyncio.timeout(60):
        while len(lines(tmp_path)) < 2:
            await asyncio.sleep(0.02)
    assert [entry["outcome"] for entry in entries(tmp_path)] == ["success"], "before any close"
    await log.close()


async def test_an_intent_without_outcome_lists_as_unknown(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    await log.begin(action())
    await log.close()
    assert [entry["outcome"] for entry in entries(tmp_path)] == ["unknown"]


async def test_a_second_end_changes_nothing(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    (id,) = await log.begin(action())
    log.end(id, "success")
    log.end(id, "failure")
    await log.close()
    assert [line["outcome"] for line in lines(tmp_path)] == ["intent", "success"]


async def test_a_group_gets_an_id_for_each_action_in_order(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    ids = await log.begin(action(1), action(2), action(3))
    await log.close()
    written = [(line["id"], line["resource"]) for line in lines(tmp_path)]
    wanted = zip(ids, ["sha256:0001", "sha256:0002", "sha256:0003"], strict=True)
    assert written == list(wanted)


async def test_nothing_is_written_before_something_is_done(tmp_path: Path) -> None:
    await AuditLog(tmp_path).close()
    assert not audit_dir(tmp_path).exists()


async def test_known_and_key_shaped_secrets_are_masked(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    log.conceal(["correct horse \u00e4 battery"])
    shaped = "sk-ant-api03-" + "a1" * 20
    (id,) = await log.begin(
        action(resource=f"x {shaped}", detail={"a": ["correct horse \u00e4 battery"]})
    )
    log.end(id, "failure", detail={"error": shaped})
    await log.close()
    text = "".join(path_of(tmp_path, chain).read_text() for chain in chains(tmp_path, node_name()))
    assert shaped not in text
    assert "horse" not in text
    assert verify(tmp_path).is_sound


async def test_a_key_given_for_an_id_is_masked(tmp_path: Path) -> None:
    key = "sk-ant-api03-0123456789abcdefXYZ"
    log = AuditLog(tmp_path)
    await log.begin(action(1, resource=key, correlation=Correlation(run_id=key)))
    await log.close()
    assert entries(tmp_path)[0]["run_id"] == "[masked]"
    assert not any(key in path.read_text() for path in tmp_path.rglob("*.jsonl"))


async def test_fifty_agents_leave_as_many_intents_as_they_took_actions(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    done = []

    async def agent(number: int) -> None:
        for step in range(20):
            (id,) = await log.begin(action(number * 100 + step))
            done.append(id)
            log.end(id, "success")

    await asyncio.gather(*(agent(number) for number in range(50)))
    await log.close()
    found = entries(tmp_path)
    assert sorted(str(entry["id"]) for entry in found) == sorted(done)
    assert {entry["outcome"] for entry in found} == {"success"}
    assert verify(tmp_path).is_sound


def test_threads_without_a_loop_share_a_chain(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)

    def work(number: int) -> None:
        for step in range(10):
            (id,) = log.begin_now(action(number * 100 + step))
            log.end(id, "success")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close_now()
    assert len(entries(tmp_path)) == 80
    assert verify(tmp_path).is_sound
    stamps = [str(line["timestamp"]) for line in lines(tmp_path)]
    assert stamps == sorted(stamps)


def test_every_chain_names_the_one_before_it(tmp_path: Path) -> None:
    first, second = write_chain(tmp_path, 1), write_chain(tmp_path, 1)
    genesis = json.loads(path_of(tmp_path, second).read_text().splitlines()[0])["detail"]
    assert genesis["predecessor"]["chain"] == first
    assert (
        genesis["predecessor"]["count"]
        == len(path_of(tmp_path, first).read_bytes().split(b"\n")) - 1
    )
    assert genesis["index"]["count"] == 2


def test_a_chain_says_that_its_predecessor_is_missing(tmp_path: Path) -> None:
    first = write_chain(tmp_path, 1)
    path_of(tmp_path, first).unlink()
    second = write_chain(tmp_path, 1)
    genesis = json.loads(path_of(tmp_path, second).read_text().splitlines()[0])["detail"]
    assert genesis["predecessor"] == {"chain": first, "missing": "its file"}


def test_only_this_user_may_read_the_log_and_its_key(tmp_path: Path) -> None:
    write_chain(tmp_path)
    private = [p for p in audit_dir(tmp_path).rglob("*") if p.suffix in {".jsonl", ".key"}]
    assert private
    assert all(p.stat().st_mode & 0o077 == 0 for p in private)


async def test_a_log_is_of_the_process_that_opened_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path)
    await log.begin(action())
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(AuditError, match="belongs to the process"):
            await log.begin(action())
    await log.close()


# -- a disk that refuses --------------------------------------------------------------------------


class FullDisk(RealDisk):
    """Takes nothing while `is_full`; `takes` bytes of a write get through before that."""

    def __init__(self) -> None:
        self.is_full = False
        self.is_broken = False
        self.takes = 0

    def create(self, path: Path) -> AppendFile:
        return _FullFile(self, super().create(path))

    def open(self, path: Path) -> AppendFile:
        return _FullFile(self, super().open(path))


class _FullFile:
    def __init__(self, disk: FullDisk, file: AppendFile) -> None:
        self._disk = disk
        self._file = file

    def write(self, data: bytes) -> int:
        if not self._disk.is_full:
            return self._file.write(data)
        taken, self._disk.takes = self._disk.takes, 0
        if taken:
            return self._file.write(data[:taken])
        raise OSError(errno.ENOSPC, "No space left on device")

    def sync(self) -> None:
        if self._disk.is_broken:
            raise OSError(errno.EIO, "Input/output error")
        self._file.sync()

    def truncate(self, length: int) -> None:
        self._file.truncate(length)

    def close(self) -> None:
        self._file.close()


@pytest.mark.parametrize("takes", [0, 1, 200])
async def test_on_a_full_disk_nothing_may_be_done_and_later_it_may(
    tmp_path: Path, takes: int
) -> None:
    disk = FullDisk()
    log = AuditLog(tmp_path, disk=disk)
    (first,) = await log.begin(action(1))
    disk.is_full, disk.takes = True, takes
    with pytest.raises(AuditError, match="No space left"):
        await log.begin(action(2))
    log.end(first, "success")
    with pytest.raises(AuditError):
        await log.begin(action(3))
    disk.is_full = False
    (last,) = await log.begin(action(4))
    log.end(last, "success")
    await log.close()
    assert [(e["resource"], e["outcome"]) for e in entries(tmp_path)] == [
        ("sha256:0001", "success"),
        ("sha256:0004", "success"),
    ]
    assert len(chains(tmp_path, node_name())) == 1
    report = verify(tmp_path)
    assert report.is_sound, report.findings


async def test_a_disk_that_is_full_from_the_start_leaves_no_chain_behind(tmp_path: Path) -> None:
    disk = FullDisk()
    disk.is_full = True
    log = AuditLog(tmp_path, disk=disk)
    for number in range(3):
        with pytest.raises(AuditError, match="No space left"):
            await log.begin(action(number))
    disk.is_full = False
    await log.begin(action())
    await log.close()
    assert len(chains(tmp_path, node_name())) == 1
    assert verify(tmp_path).is_sound


async def test_after_a_failed_flush_another_chain_begins(tmp_path: Path) -> None:
    disk = FullDisk()
    log = AuditLog(tmp_path, disk=disk)
    await log.begin(action(1))
    disk.is_broken = True
    with pytest.raises(AuditError, match="Input/output"):
        await log.begin(action(2))
    disk.is_broken = False
    await log.begin(action(3))
    await log.close()
    assert [e["resource"] for e in entries(tmp_path)] == ["sha256:0001", "sha256:0003"]
    assert len(chains(tmp_path, node_name())) == 2
    assert verify(tmp_path).is_sound


@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_file_taken_away_under_us_ends_all_actions(tmp_path: Path, how: str) -> None:
    log = AuditLog(tmp_path)
    await log.begin(action(1))
    (chain,) = chains(tmp_path, node_name())
    path = path_of(tmp_path, chain)
    copy = path.read_bytes()
    path.unlink()
    if how == "replaced":
        path.with_name("x").write_bytes(copy)
        path.with_name("x").rename(path)
    for _ in range(2):
        with pytest.raises(AuditError, match="taken away"):
            await log.begin(action(2))
    await log.close()


async def test_a_file_changed_under_us_is_not_signed(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    (id,) = await log.begin(action(1))
    (chain,) = chains(tmp_path, node_name())
    path = path_of(tmp_path, chain)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"sha256:0001", b"sha256:9999"))
    log.end(id, "success")
    await log.close()
    assert "does not hold what was written" in log.trouble
    assert not verify(tmp_path).is_sound


async def test_a_disk_that_hangs_is_waited_for_until_the_deadline(tmp_path: Path) -> None:
    release = threading.Event()

    class Hanging(RealDisk):
        def sync_directory(self, path: Path) -> None:
            release.wait(30)

    log = AuditLog(tmp_path, disk=Hanging(), deadline_s=0.05)
    with pytest.raises(AuditError, match="did not answer"):
        await log.begin(action())
    release.set()
    await log.close()


# -- a second file --------------------------------------------------------------------------------


async def test_a_second_file_has_the_same_actions(tmp_path: Path) -> None:
    second = tmp_path / "elsewhere" / "audit.jsonl"
    log = AuditLog(tmp_path / "data", second=second)
    (id,) = await log.begin(action(1))
    log.end(id, "success")
    await log.close()
    assert [json.loads(line)["outcome"] for line in second.read_text().splitlines()] == [
        "success",  # the chain's opening
        "intent",
        "success",
    ]


async def test_one_of_two_files_is_enough(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "audit").write_text("in the way")
    second = tmp_path / "audit.jsonl"
    log = AuditLog(tmp_path / "data", second=second)
    (id,) = await log.begin(action(1))
    log.end(id, "success")
    await log.close()
    assert id in second.read_text()


async def test_where_both_files_refuse_nothing_may_be_done(tmp_path: Path) -> None:
    disk = FullDisk()
    disk.is_full = True
    log = AuditLog(tmp_path, second=tmp_path / "second.jsonl", disk=disk)
    with pytest.raises(AuditError):
        await log.begin(action(1))
    await log.close()
