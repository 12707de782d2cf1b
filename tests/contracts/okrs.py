"""What every store of OKRs promises."""

import threading
from dataclasses import replace

import pytest

from codetether_ray.core.errors import OkrTransitionError, UnknownOkrError
from codetether_ray.core.measures import KrReading
from codetether_ray.core.okrs import Okr, OkrRun
from codetether_ray.okr.transitions import decide
from codetether_ray.ports.okrs import OkrStore
from tests.unit.okr.okrs import a_run, an_okr, approval


def reading(turn: int, value: float | None = 1.0, kr_id: str = "k1") -> KrReading:
    return KrReading(kr_id=kr_id, turn=turn, commit="c", value=value)


def rename(okr: Okr, run: OkrRun, _: tuple[KrReading, ...]) -> tuple[Okr, OkrRun]:
    return replace(okr, title=f"{okr.title}!"), run


def same(okr: Okr, run: OkrRun, _: tuple[KrReading, ...]) -> tuple[Okr, OkrRun]:
    return okr, run


class OkrStoreContract:
    """A store is given by the fixture `store`."""

    def test_what_was_added_is_there_as_it_was(self, store: OkrStore) -> None:
        okr, run = an_okr(tags=("a",), owner="ada"), a_run(request={"task": "é\ud800"})
        store.add(okr, run)
        assert store.okr("o1") == okr
        assert store.okrs() == (okr,)
        assert store.runs()[0].request == {"task": "é?"}

    def test_nothing_of_an_unknown_id_is_found_or_changed(self, store: OkrStore) -> None:
        for ask in (store.okr, store.run):
            with pytest.raises(UnknownOkrError):
                ask("none")
        with pytest.raises(UnknownOkrError):
            store.change("none", same)
        with pytest.raises(UnknownOkrError):
            store.change_okr("none", lambda okr: okr)
        with pytest.raises(UnknownOkrError):
            store.add_run(a_run(okr_id="none"))
        assert store.readings("none") == ()

    def test_an_okr_has_several_runs_in_the_order_they_came(self, store: OkrStore) -> None:
        store.add(an_okr())
        for n in range(3):
            store.add_run(a_run(id=f"r{n}"))
        assert [run.id for run in store.runs()] == ["r0", "r1", "r2"]

    def test_a_version_grows_where_a_value_changed_and_only_there(self, store: OkrStore) -> None:
        store.add(an_okr(), a_run())
        okr, run = store.change("r1", rename)
        assert (okr.version, run.version) == (2, 1)
        assert store.change("r1", same)[0].version == 2
        assert store.change_okr("o1", lambda one: replace(one, owner="bob")).version == 3

    def test_a_change_that_fails_changes_nothing_and_keeps_no_reading(
        self, store: OkrStore
    ) -> None:
        store.add(an_okr(), a_run())

        def fail(okr: Okr, run: OkrRun, _: tuple[KrReading, ...]) -> tuple[Okr, OkrRun]:
            raise OkrTransitionError(run.id, run.status, "x")

        with pytest.raises(OkrTransitionError):
            store.change("r1", fail, (reading(0),))
        assert store.okr("o1") == an_okr()
        assert store.readings("r1") == ()

    def test_readings_are_kept_once_for_each_key_result_and_turn(self, store: OkrStore) -> None:
        store.add(an_okr(), a_run())
        seen: list[tuple[KrReading, ...]] = []

        def look(okr: Okr, run: OkrRun, known: tuple[KrReading, ...]) -> tuple[Okr, OkrRun]:
            seen.append(known)
            return okr, run

        store.change("r1", look, (reading(2), reading(2, kr_id="k2")))
        store.change("r1", look, (reading(0, None), reading(2, 99.0)))
        assert seen[0] == (reading(2), reading(2, kr_id="k2"))
        assert seen[1] == (reading(0, None), reading(2), reading(2, kr_id="k2"))
        assert store.readings("r1") == seen[1]

    def test_of_many_who_decide_at_once_one_wins_and_the_others_are_told(
        self, store: OkrStore
    ) -> None:
        store.add(an_okr(), a_run())
        won: list[str] = []
        lost: list[str] = []
        start = threading.Barrier(6)

        def vote(who: str) -> None:
            start.wait()
            try:
                store.change("r1", lambda okr, run, _: decide(okr, run, approval(who), seen=1))
                won.append(who)
            except OkrTransitionError as error:
                lost.append(str(error))

        threads = [threading.Thread(target=vote, args=(f"p{n}",)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert len(lost) == 5
        assert all(f"approved by {won[0]}" in sentence for sentence in lost)
        made = store.run("r1").approval
        assert made is not None
        assert made.approver == won[0]

    def test_changes_of_many_threads_are_all_there(self, store: OkrStore) -> None:
        store.add(an_okr(title=""), a_run())
        threads = [
            threading.Thread(target=lambda: [store.change("r1", rename) for _ in range(5)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.okr("o1").title == "!" * 20
        assert store.okr("o1").version == 21
