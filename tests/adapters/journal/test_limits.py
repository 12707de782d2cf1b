"""What happens at limits: a full disk, a quota, a full queue, a mirror that fails, big integers."""

import asyncio
import errno
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import RunFinished
from codetether_ray.disk import ballast as ballast_module
from codetether_ray.disk.ballast import Ballast
from codetether_ray.disk.filesystem import describe
from codetether_ray.disk.quota import Quota, used_bytes
from codetether_ray.journal.bigints import has_big_int, quote_ints, with_int
from codetether_ray.journal.blobs import Blob
from codetether_ray.journal.check import check_run
from codetether_ray.journal.listing import find_run
from codetether_ray.journal.reader import read_lines, read_records
from codetether_ray.journal.segments import list_segments, run_directory
from codetether_ray.local.journal import LocalJournal
from tests.adapters.journal.disks import QuickDisk, ScriptedDisk
from tests.contracts.journal import RUN, note, record


class _FullOnceDisk(ScriptedDisk):
    """Full at one write; then there is the room that a ballast gives back."""

    is_full = False

    def room(self, path: Path, wanted: int) -> int:
        if self.is_full:
            self.is_full = False
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().room(path, wanted)


async def test_a_full_disk_leaves_the_reason_in_the_run_which_goes_on_later(
    tmp_path: Path,
) -> None:
    disk = _FullOnceDisk()
    journal = await LocalJournal.open(tmp_path, RUN, disk=disk)
    acked = await journal.append([note("a", "acked")])
    disk.is_full = True
    with pytest.raises(JournalError, match=r"the disk is full: .* make room and continue"):
        await journal.append([note("a", "lost")])
    with pytest.raises(JournalError, match="disk is full"):
        await journal.append([note("a")])
    await journal.close()
    (segment,) = list_segments(run_directory(tmp_path, RUN))
    last = json.loads(segment.path.read_bytes().splitlines()[-1])
    assert last["kind"] == "journal.stopped"
    assert "disk is full" in last["payload"]["reason"]
    summary = find_run(tmp_path, RUN)
    assert (summary.state, summary.records) == ("interrupted", 1)
    assert "disk is full" in summary.detail
    assert check_run(tmp_path, RUN).problems == ()
    journal = await LocalJournal.open(tmp_path, RUN)
    more = await journal.append([note("a", "later")])
    await journal.close()
    assert tuple(read_records(tmp_path, RUN)) == (*acked, *more)
    assert more[0].seq == 1


def test_a_ballast_is_held_only_while_room_is_scarce(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballast = Ballast(tmp_path / "ballast", 100_000)
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(ballast_module, "SCARCE_BYTES", 0)
    ballast.fill()
    assert not ballast.release()
    monkeypatch.setattr(ballast_module, "SCARCE_BYTES", free * 2)
    ballast.fill()
    ballast.fill()
    assert used_bytes(tmp_path) >= 100_000
    assert ballast.release()
    assert used_bytes(tmp_path) == 0
    ballast.fill()
    assert (tmp_path / "ballast").exists()


def test_a_ballast_that_has_no_place_is_no_failure(tmp_path: Path) -> None:
    Ballast(tmp_path / "nowhere" / "ballast").fill()
    assert list(tmp_path.iterdir()) == []


def test_a_quota_warns_once_when_nearly_used_and_once_when_passed(tmp_path: Path) -> None:
    warned: list[str] = []
    quota = Quota(tmp_path, 100_000, warned.append)
    for size in (50_000, 92_000, 92_000, 120_000, 120_000):
        (tmp_path / "file").write_bytes(b"x" * size)
        quota.check()
    assert len(warned) == 2
    assert "% of its quota" in warned[0]
    assert "more than its quota" in warned[1]
    assert "journal.quota" in warned[1]


async def test_a_run_over_its_quota_says_so_to_its_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODETETHER_LEASE_S", "0.1")
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    other = tmp_path / "events" / "another run"
    other.mkdir(parents=True)
    (other / "segment").write_bytes(b"x" * 50_000)
    journal = await LocalJournal.open(
        tmp_path, RUN, quota_bytes=40_000, warn=lambda text: told.set_result(text)
    )
    assert "more than its quota" in await asyncio.wait_for(told, 60)
    await journal.append([note("a")])
    await journal.close()


async def test_appends_wait_in_order_while_too_much_is_on_its_way(tmp_path: Path) -> None:
    disk = ScriptedDisk()
    journal = await LocalJournal.open(tmp_path, RUN, disk=disk, queue_bytes=10_000)
    await journal.append([note("a")])
    disk.gate.clear()
    text = "x" * 3000
    waiting = [asyncio.ensure_future(journal.append([note("a", f"{n} {text}")])) for n in range(20)]
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(journal._held_up) == 16  # 3 KB each: the fourth passes the limit
    waiting[10].cancel()
    disk.gate.set()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(done[10], asyncio.CancelledError)
    seqs = [d[0].seq for d in done if isinstance(d, tuple)]
    assert seqs == list(range(1, 20))
    await journal.close()


async def test_a_record_that_cannot_be_written_does_not_hold_up_those_behind_it(
    tmp_path: Path,
) -> None:
    journal = await LocalJournal.open(tmp_path, RUN, disk=QuickDisk(), queue_bytes=1)
    nan = record("a", RunFinished(outcome="completed", summary={"cost_usd": float("nan")}))
    given = [note("a"), nan, note("a"), nan, nan, note("a")]
    done = await asyncio.gather(*(journal.append([r]) for r in given), return_exceptions=True)
    assert [isinstance(d, JournalError) for d in done] == [r is nan for r in given]
    await journal.close()


async def test_a_mirror_has_every_byte_before_it_counts(tmp_path: Path) -> None:
    got: list[tuple[str, int, bytes, Sequence[Blob]]] = []
    journal = await LocalJournal.open(
        tmp_path, RUN, mirror=lambda *given: got.append(given), segment_bytes=1000
    )
    for number in range(10):
        acked = await journal.append([note("a", str(number))])
        assert f'"seq":{acked[0].seq},'.encode() in got[-1][2]
    big = await journal.append([note("a", "x" * 100_000)])
    assert big[0].seq == 10
    await journal.close()
    stream = b"".join(s.path.read_bytes() for s in list_segments(run_directory(tmp_path, RUN)))
    assert b"".join(data for _, _, data, _ in got) == stream
    at = 0
    for run_id, start, data, _ in got:
        assert (run_id, start) == (RUN, at)
        at += len(data)
    assert [len(blobs) for *_, blobs in got] == [0] * 10 + [1]


async def test_a_mirror_that_fails_ends_the_writer_with_its_own_words(tmp_path: Path) -> None:
    def mirror(*given: object) -> None:
        raise RuntimeError("the archive is away")

    journal = await LocalJournal.open(tmp_path, RUN, mirror=mirror)
    for _ in range(2):
        with pytest.raises(JournalError, match="the archive is away"):
            await journal.append([note("a")])
    assert await journal.read() == ()
    await journal.close()


_BIG = {"n": 2**53, "list": [1, -(2**60), {"deep": 2**64}], "text": str(2**70), "small": 2**53 - 1}


async def test_integers_that_other_readers_round_are_texts_on_disk_and_come_back(
    tmp_path: Path,
) -> None:
    journal = await LocalJournal.open(tmp_path, RUN)
    event = RunFinished(outcome="completed", summary=dict(_BIG))
    given = await journal.append([record("a", event), note("a")])
    assert await journal.read() == given
    await journal.close()
    line, _ = read_lines(tmp_path, RUN)
    summary = line.data["payload"]["summary"]
    assert summary["n"] == str(2**53)
    assert summary["list"] == [1, str(-(2**60)), {"deep": str(2**64)}]
    assert (summary["text"], summary["small"]) == (str(2**70), 2**53 - 1)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("9" * 20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(_JSON)
@settings(deadline=None)
def test_any_json_comes_back_with_its_integers(value: object) -> None:
    text = json.dumps(value)
    quoted, member = quote_ints(text)
    back = json.loads(quoted)
    paths = json.loads("{" + member.rstrip(",") + "}").get("ints", [])
    assert bool(paths) <= has_big_int(text)
    for path in paths:
        back = with_int(back, path)
    assert back == value


_MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw
31 27 0:40 / /mnt/share rw - nfs4 host:/share rw
32 27 0:41 / /mnt/my\040bucket rw - fuse.s3fs s3fs rw
33 31 0:42 / /mnt/share/disk rw - xfs /dev/vdb rw
34 27 0:43 / /layer rw - overlay overlay rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/home/me", "ext4", ""),
        ("/mnt/share/x", "nfs4", "another machine"),
        ("/mnt/shared", "ext4", ""),
        ("/mnt/share/disk/data", "xfs", ""),
        ("/mnt/my bucket/x", "fuse.s3fs", "no atomic rename"),
        ("/dev/shm/x", "tmpfs", "power"),
        ("/layer", "overlay", "container"),
    ],
)
def test_file_systems_that_keep_less_are_told(path: str, kind: str, words: str) -> None:
    found = describe(Path(path), _MOUNTS)
    assert found.kind == kind
    assert words in found.warning
    assert bool(words) == bool(found.warning)
    assert str(found).startswith(f"{kind} at {found.mount}")


def test_this_machines_file_system_is_known(tmp_path: Path) -> None:
    found = describe(tmp_path)
    assert tmp_path.is_relative_to(found.mount or "/")


async def test_appends_of_one_turn_of_the_loop_share_a_write_and_fail_alone(tmp_path: Path) -> None:
    disk = ScriptedDisk()
    journal = await LocalJournal.open(tmp_path, RUN, disk=disk)
    nan = record("a", RunFinished(outcome="completed", summary={"cost_usd": float("nan")}))
    given = [[note("a"), note("b")], [note("a"), nan], [note("b")], [note("a"), note("a")]]
    before = len([name for name, _ in disk.log if name == "write"])
    done = await asyncio.gather(*map(journal.append, given), return_exceptions=True)
    writes = len([name for name, _ in disk.log if name == "write"])
    assert writes == before + 1
    assert isinstance(done[1], JournalError)
    kept = [[(r.seq, r.agent, r.agent_seq) for r in d] for d in done if isinstance(d, tuple)]
    assert kept == [[(0, "a", 0), (1, "b", 0)], [(2, "b", 1)], [(3, "a", 1), (4, "a", 2)]]
    assert [r.seq for r in await journal.read("a")] == [0, 3, 4]
    await journal.close()


async def test_what_was_appended_in_the_turn_of_a_close_is_written_and_nothing_after(
    tmp_path: Path,
) -> None:
    journal = await LocalJournal.open(tmp_path, RUN, disk=QuickDisk())
    last = asyncio.ensure_future(journal.append([note("a")]))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(journal.close())
    await asyncio.sleep(0)
    with pytest.raises(JournalError, match="closed"):
        await journal.append([note("a")])
    await closing
    assert list(await last) == list(read_records(tmp_path, RUN))
