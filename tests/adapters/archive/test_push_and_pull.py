"""A run goes to the archive and comes back, whatever the way there is like."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from codetether_ray.archive.ledger import Ledger, turn
from codetether_ray.archive.s3 import S3Place, S3Store
from codetether_ray.archive.sending import send
from codetether_ray.bootstrap.archiving.opening import check_run, push_audit, push_run
from codetether_ray.bootstrap.archiving.pull import pull_run
from codetether_ray.bootstrap.archiving.standing import archived_runs, standing
from codetether_ray.core.errors import ArchiveError, ArchiveUnreachableError, UnknownRunError
from codetether_ray.journal.listing import find_run
from codetether_ray.journal.segments import list_segments, run_directory
from tests.adapters.archive.rough import FaultError, Passing, RoughRoad
from tests.adapters.archive.runs import new_run, note, small, told, write


async def test_a_run_comes_back_whole_on_a_machine_that_never_saw_it(
    store: S3Store, data: Path, tmp_path: Path
) -> None:
    run = new_run()
    await write(data, run, small(big=2))
    assert standing(data, run, store.place).lag_bytes > 0
    push_run(store, data, run)
    assert standing(data, run, store.place).lag_bytes == 0
    assert standing(data, run, store.place).lag_s == 0
    before = told(data, run)
    other = tmp_path / "other"
    pulled = pull_run(store, other, run)
    assert told(other, run) == before
    assert pulled.end == standing(data, run, store.place).end
    await write(other, run, [note("and it goes on there")])
    assert "and it goes on there" in told(other, run)[-1]


async def test_what_was_sent_is_not_sent_again(store: S3Store, data: Path, road: RoughRoad) -> None:
    run = new_run()
    await write(data, run, small())
    assert push_run(store, data, run).objects > 3
    road.seen.clear()
    assert push_run(store, data, run).objects == 0
    assert road.seen == []


async def test_the_pieces_of_an_open_segment_go_when_it_is_sealed(
    store: S3Store, data: Path
) -> None:
    run = new_run()
    await write(data, run, small(count=3), segment_bytes=100_000)
    push_run(store, data, run)
    assert [s.name.split("/")[1] for s in store.stored(f"{run}/")].count("tail") == 1
    await write(data, run, [note("more")], segment_bytes=100_000)  # seals what was open
    push_run(store, data, run)
    names = [s.name.split("/")[1] for s in store.stored(f"{run}/")]
    assert sum(name.endswith(".jsonl") for name in names) == 1
    assert names.count("tail") == 1
    assert standing(data, run, store.place).lag_bytes == 0


async def test_a_ledger_that_was_lost_costs_only_another_look(store: S3Store, data: Path) -> None:
    run = new_run()
    await write(data, run, small(big=1))
    push_run(store, data, run)
    shutil.rmtree(data / "archive")
    assert standing(data, run, store.place).lag_bytes > 0
    push_run(store, data, run)
    assert standing(data, run, store.place).lag_bytes == 0


async def test_another_content_under_the_same_name_is_an_error_and_stays(store: S3Store) -> None:
    send(store, "x/one", b"first", name="one")
    send(store, "x/one", b"first", name="one")
    with pytest.raises(ArchiveError, match="something else"):
        send(store, "x/one", b"second", name="one")
    out = bytearray()
    store.read("x/one", out.extend)
    assert out == b"first"


async def test_an_object_that_is_stored_damaged_is_seen_and_sent_again(
    store: S3Store, data: Path, road: RoughRoad
) -> None:
    run = new_run()
    await write(data, run, small())
    hurt: list[str] = []

    def rule(passing: Passing) -> bytes | None:
        if passing.method == "PUT" and "chat-events" in passing.path and not hurt:
            hurt.append(passing.path)
            return bytes([passing.body[0] ^ 1]) + passing.body[1:]
        return None

    road.rule = rule
    push_run(store, data, run)
    assert hurt
    assert check_run(store, data, run) == ()


async def test_a_check_finds_what_was_damaged_later_and_sends_it_again(
    store: S3Store, place: S3Place, data: Path
) -> None:
    run = new_run()
    await write(data, run, small(big=1))
    push_run(store, data, run)
    name = next(s.name for s in store.stored(f"{run}/2"))
    key = f"{place.prefix}{name}"
    kept = store._client().head_object(Bucket=place.bucket, Key=key)["Metadata"]
    store._client().put_object(Bucket=place.bucket, Key=key, Body=b"rot", Metadata=kept)
    with pytest.raises(ArchiveError, match="damaged"):
        pull_run(store, data / "elsewhere", run)
    assert check_run(store, data, run) == (name.partition("/")[2],)
    assert check_run(store, data, run) == ()
    pull_run(store, data / "elsewhere", run)
    assert told(data / "elsewhere", run) == told(data, run)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("status", [500, 503, 0, 400], ids=["500", "503", "cut", "damaged"])
async def test_a_push_stops_at_a_failure_and_the_next_one_goes_on(
    status: int, after: bool, store: S3Store, data: Path, road: RoughRoad, tmp_path: Path
) -> None:
    run = new_run()
    await write(data, run, small(big=1))
    failures = 0

    def rule(passing: Passing) -> None:
        if passing.number % 4 == 0:
            raise FaultError(status, after)

    road.rule = rule
    while True:
        try:
            push_run(store, data, run)
            break
        except ArchiveUnreachableError:
            failures += 1
            assert failures < 200
    assert failures > 3
    road.rule = lambda _: None
    assert standing(data, run, store.place).lag_bytes == 0
    pull_run(store, tmp_path / "other", run)
    assert told(tmp_path / "other", run) == told(data, run)


async def test_bytes_that_are_changed_on_the_way_back_are_not_taken(
    store: S3Store, data: Path, road: RoughRoad, tmp_path: Path
) -> None:
    run = new_run()
    await write(data, run, small())
    push_run(store, data, run)

    def spoil(passing: Passing, body: bytes) -> bytes:
        return body[:-2] + b"!\n" if "chat-events" in passing.path and body else body

    road.spoil = spoil
    with pytest.raises(ArchiveError):
        pull_run(store, tmp_path / "other", run)
    with pytest.raises(UnknownRunError):
        find_run(tmp_path / "other", run)


async def test_a_part_that_went_missing_in_the_archive_is_named(
    store: S3Store, data: Path, tmp_path: Path
) -> None:
    run = new_run()
    await write(data, run, small())
    push_run(store, data, run)
    name = [s.name for s in store.stored(f"{run}/2")][1]
    store.delete([name])
    with pytest.raises(ArchiveError, match=name.partition("/")[2]):
        pull_run(store, tmp_path / "other", run)
    assert not run_directory(tmp_path / "other", run).exists()


async def test_a_run_that_another_process_sends_is_left_to_it(store: S3Store, data: Path) -> None:
    run = new_run()
    await write(data, run, small())
    with turn(data, run) as is_mine:
        assert is_mine
        assert push_run(store, data, run).objects == 0
    assert push_run(store, data, run).objects > 0


async def test_a_run_that_grows_while_it_is_sent_is_never_torn_in_the_archive(
    store: S3Store, data: Path, tmp_path: Path
) -> None:
    run = new_run()
    for number in range(8):
        await write(data, run, [note(f"part {number}-{n}") for n in range(5)])
        push_run(store, data, run)
        other = tmp_path / f"other-{number}"
        pull_run(store, other, run)
        assert told(other, run) == told(data, run)


async def test_the_audit_log_goes_without_its_private_key_and_beside_a_namesakes(
    store: S3Store, data: Path
) -> None:
    for number in (1, 2):  # a lost machine, and its successor of the same name
        root = data / str(number) / "audit"
        (root / "node").mkdir(parents=True)
        (root / "keys").mkdir()
        (root / "keys" / "node.key").write_text("never")
        (root / "keys" / f"node-{number}.pub").write_text("public")
        index = root / "node" / "index.jsonl"
        index.write_text(f'{{"chain": {number}}}\n')
        assert push_audit(store, data / str(number)).objects == 2
        with index.open("a") as file:
            file.write('{"more": 1}\n{"torn')
        assert push_audit(store, data / str(number)).objects == 1
    names = [s.name for s in store.stored("audit/")]
    assert sum(name.startswith("audit/node/index-") for name in names) == 4
    assert not [name for name in names if name.endswith(".key")]


async def test_a_torn_line_in_the_ledger_is_a_fact_found_out_again(data: Path) -> None:
    ledger = Ledger.load(data, "x", "a place")
    ledger.mark("a", "1")
    with ledger.path.open("ab") as file:
        file.write(b'{"mark": "b", "val')
    again = Ledger.load(data, "x", "a place")
    again.mark("c", "3")
    assert Ledger.load(data, "x", "a place").marks == {"a": "1", "c": "3"}


async def test_an_unknown_run_is_said_to_be_unknown(store: S3Store, data: Path) -> None:
    with pytest.raises(UnknownRunError):
        pull_run(store, data, new_run())


async def test_a_bucket_that_is_not_there_and_keys_that_are_refused_are_told_in_a_sentence(
    place: S3Place, road: RoughRoad
) -> None:
    with pytest.raises(ArchiveError, match="there is no bucket nowhere"):
        list(S3Store(replace(place, bucket="nowhere")).stored("x/"))

    def refuse(_: Passing) -> None:
        raise FaultError(403)

    road.rule = refuse
    with pytest.raises(ArchiveError, match="refused the keys") as caught:
        list(S3Store(place).stored("x/"))
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(place)


@pytest.mark.parametrize("wrong", [{"bucket": "Not A Bucket"}, {"region": "mars north"}])
def test_what_is_set_wrongly_is_not_taken_for_an_archive_that_is_away(
    place: S3Place, wrong: dict[str, str]
) -> None:
    with pytest.raises(ArchiveError, match="is set wrongly") as caught:
        list(S3Store(replace(place, **wrong)).stored("x/"))  # type: ignore[arg-type]
    assert not isinstance(caught.value, ArchiveUnreachableError)


def test_an_error_never_tells_what_a_request_was_signed_with(place: S3Place) -> None:
    with pytest.raises(ArchiveError) as caught:
        list(S3Store(replace(place, access_key="AKIA\nMARKED")).stored("x/"))
    assert "Signature" not in str(caught.value)
    assert "MARKED" not in str(caught.value)


def test_where_versions_may_not_be_seen_nothing_counts_as_removed(
    store: S3Store, road: RoughRoad
) -> None:
    def refuse(passing: Passing) -> None:
        if "versions" in passing.path:
            raise FaultError(403)

    road.rule = refuse
    with pytest.raises(ArchiveError, match="ListObjectVersions"):
        store.wipe("x/")


async def test_the_archive_tells_which_runs_it_holds(store: S3Store, data: Path) -> None:
    runs = sorted([new_run(), new_run()])
    for run in runs:
        await write(data, run, small(count=2))
        push_run(store, data, run)
    push_audit(store, data)
    found = archived_runs(store)
    assert [row.run_id for row in found] == runs
    assert all(row.objects > 1 and row.bytes > 0 for row in found)


async def test_segments_here_that_are_farther_than_the_archive_stay(
    store: S3Store, data: Path
) -> None:
    run = new_run()
    await write(data, run, small())
    push_run(store, data, run)
    await write(data, run, [note("later")])
    before = told(data, run)
    names = [s.path.name for s in list_segments(run_directory(data, run))]
    pull_run(store, data, run)
    assert told(data, run) == before
    assert [s.path.name for s in list_segments(run_directory(data, run))] == names
