"""OKRs in SQLite: the contract, several processes, a process killed in a transaction, damage."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from codetether_ray.bootstrap.truth import okrs as asked
from codetether_ray.bootstrap.truth.place import LocalHome
from codetether_ray.core.errors import OkrStoreError, UnknownOkrError, UsageError
from codetether_ray.core.measures import KrReading
from codetether_ray.core.okrs import Okr, OkrRun
from codetether_ray.ports.okrs import Change
from codetether_ray.stores.okrs import FORMAT, SqliteOkrs, opened_okrs
from tests.contracts.okrs import OkrStoreContract, reading
from tests.unit.okr.okrs import a_run, an_okr, approval


class TestSqliteOkrs(OkrStoreContract):
    """One store that stays open."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[SqliteOkrs]:
        with opened_okrs(tmp_path / "deep" / "okr.db") as store:
            yield store


T = TypeVar("T")


class EachTime:
    """The file, opened anew for every call, as commands do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _do(self, call: Callable[[SqliteOkrs], T]) -> T:
        with opened_okrs(self._path) as store:
            return call(store)

    def add(self, okr: Okr, run: OkrRun | None = None) -> None:
        self._do(lambda store: store.add(okr, run))

    def add_run(self, run: OkrRun) -> None:
        self._do(lambda store: store.add_run(run))

    def okr(self, okr_id: str) -> Okr:
        return self._do(lambda store: store.okr(okr_id))

    def okrs(self) -> tuple[Okr, ...]:
        return self._do(lambda store: store.okrs())

    def run(self, run_id: str) -> OkrRun:
        return self._do(lambda store: store.run(run_id))

    def runs(self) -> tuple[OkrRun, ...]:
        return self._do(lambda store: store.runs())

    def change(
        self, run_id: str, change: Change, readings: tuple[KrReading, ...] = ()
    ) -> tuple[Okr, OkrRun]:
        return self._do(lambda store: store.change(run_id, change, readings))

    def change_okr(self, okr_id: str, change: Callable[[Okr], Okr]) -> Okr:
        return self._do(lambda store: store.change_okr(okr_id, change))

    def readings(self, run_id: str) -> tuple[KrReading, ...]:
        return self._do(lambda store: store.readings(run_id))

    def close(self) -> None:
        pass


class TestOkrsOpenedEachTime(OkrStoreContract):
    """Many short uses, at once."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> EachTime:
        return EachTime(tmp_path / "okr.db")


_APPROVE = """
import os, sys
from pathlib import Path
from typing import TypeVar
from codetether_ray.bootstrap.truth import okrs
from codetether_ray.bootstrap.truth.place import LocalHome
from codetether_ray.core import failpoints
from codetether_ray.core.errors import OkrTransitionError
from codetether_ray.core.okrs import ApprovalDecision
failpoints.arm(os.environ)
home = LocalHome(data_dir=Path(sys.argv[1]))
made = ApprovalDecision(
    id=sys.argv[2], run_id="r1", decision="approved", approver=sys.argv[2], decided_at="then"
)
print("ready", flush=True)
sys.stdin.readline()
try:
    okrs.decide(home, "r1", made, 1)
    print("won")
except OkrTransitionError as error:
    print(error)
"""


def approving(home: LocalHome, who: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _APPROVE, str(home.data_dir), who],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )


@pytest.fixture
def home(tmp_path: Path) -> LocalHome:
    home = LocalHome(data_dir=tmp_path)
    asked.add(home, an_okr(), a_run())
    return home


def test_of_two_processes_that_approve_at_once_one_wins_and_the_other_is_told(
    home: LocalHome,
) -> None:
    processes = [approving(home, who) for who in ("ada", "bob")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate()[0].strip() for process in processes]
    winner = ("ada", "bob")[said.index("won")]
    assert any(f"approved by {winner}" in sentence for sentence in said)


@pytest.mark.parametrize(
    ("place", "status"), [("okr.changing", "pending_approval"), ("okr.changed", "approved")]
)
def test_a_process_that_is_killed_leaves_the_whole_change_or_nothing_of_it(
    home: LocalHome, place: str, status: str
) -> None:
    process = approving(home, "ada", CODETETHER_FAILPOINT=f"{place}:1")
    process.communicate("\n")
    assert process.returncode == -signal.SIGKILL
    assert asked.get_run(home, "r1").status == status
    expected = 1 if status == "pending_approval" else 2
    assert asked.get(home, "o1").version == expected
    if status == "pending_approval":
        assert asked.decide(home, "r1", approval("bob"), 1)[1].status == "approved"


def test_the_file_is_its_users_alone(home: LocalHome) -> None:
    assert (home.data_dir / asked.FILE).stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_store_or_a_newer_ones_is_refused_in_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(OkrStoreError, match=r"broken\.db cannot be used"):
        SqliteOkrs(broken)
    newer = tmp_path / "newer.db"
    with opened_okrs(newer):
        pass
    db = sqlite3.connect(newer)
    db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    db.commit()
    db.close()
    with pytest.raises(OkrStoreError, match="newer version"):
        SqliteOkrs(newer)


def test_an_id_may_be_cut_short_where_it_means_one_thing(tmp_path: Path) -> None:
    home = LocalHome(data_dir=tmp_path)
    asked.add(home, an_okr(id="abcd-1"), a_run(id="ffff-1", okr_id="abcd-1", relay_id="rly_x"))
    asked.add(home, an_okr(id="abcd-2"), None)
    assert asked.find(home, "ffff")[1] is not None
    assert asked.find(home, "rly_x")[0].id == "abcd-1"
    assert asked.find(home, "abcd-2") == (an_okr(id="abcd-2"), None)
    for text in ("abcd", "abc", "", "none"):
        with pytest.raises(UnknownOkrError):
            asked.find(home, text)


def test_looking_where_nothing_is_makes_no_file(tmp_path: Path) -> None:
    assert asked.every(LocalHome(data_dir=tmp_path)) == ((), ())
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_stored_as_approved_that_nobody_approved(home: LocalHome) -> None:
    forged = a_run(id="r2", okr_id="o2", status="approved", approval=approval())
    with pytest.raises(UsageError):
        asked.add(home, an_okr(id="o2"), forged)


def test_adding_again_does_nothing_and_measuring_again_neither(home: LocalHome) -> None:
    asked.decide(home, "r1", approval(), 1)
    okr, run = asked.add(home, an_okr(), a_run())
    assert run is not None
    assert (okr.status, run.status) == ("active", "approved")
    asked.begin(home, "r1", "rly_1", "now")
    first = asked.record(home, "r1", (reading(0, 300), reading(1, 150)), "now")
    assert asked.record(home, "r1", (reading(1, 99),), "now") == first
    assert first[0].key_results[0].current_value == 150


def test_what_is_damaged_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "okr.db"
    with opened_okrs(path) as store:
        store.add(an_okr())
        with sqlite3.connect(path) as other:
            other.execute("UPDATE okrs SET body = '{'")
        other.close()
        with pytest.raises(OkrStoreError, match=r"okr\.db holds something damaged.*move it away"):
            store.okrs()
