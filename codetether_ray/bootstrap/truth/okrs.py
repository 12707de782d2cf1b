"""What is asked of the truth about OKRs: each one transaction on the data directory's store.

They are called by their names (`Truth.ask`), in this process or on the head.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.core.errors import UnknownOkrError, UsageError
from codetether_ray.core.measures import KrReading
from codetether_ray.core.okrs import ApprovalDecision, GoOutcome, Okr, OkrRun
from codetether_ray.okr import transitions
from codetether_ray.okr.readings import run_with_readings, with_outcomes, with_readings
from codetether_ray.okr.rules import check_okr, check_run
from codetether_ray.stores.okrs import SqliteOkrs, opened_okrs

ADD, ADD_RUN = f"{__name__}:add", f"{__name__}:add_run"
GET, GET_RUN, FIND = f"{__name__}:get", f"{__name__}:get_run", f"{__name__}:find"
ALL, READINGS = f"{__name__}:every", f"{__name__}:readings"
DECIDE, EDIT, CANCEL = f"{__name__}:decide", f"{__name__}:edit", f"{__name__}:cancel"
BEGIN, RECORD, END = f"{__name__}:begin", f"{__name__}:record", f"{__name__}:end"
FILE = "okr.db"
"""Below the data directory."""
_FEWEST_LETTERS = 4
_OTHERS = "a run is stored with the OKR that it is of; this one, or its id, is another's"


@contextmanager
def _store(home: Home) -> Iterator[SqliteOkrs]:
    with opened_okrs(home.data_dir / FILE) as store:
        yield store


# -- looking --------------------------------------------------------------------------------------


def get(home: Home, okr_id: str) -> Okr:
    """The OKR of that id."""
    with _store(home) as store:
        return store.okr(okr_id)


def get_run(home: Home, run_id: str) -> OkrRun:
    """The run of that id."""
    with _store(home) as store:
        return store.run(run_id)


def every(home: Home) -> tuple[tuple[Okr, ...], tuple[OkrRun, ...]]:
    """All OKRs and all runs, oldest first; none where nothing was ever stored."""
    if not (home.data_dir / FILE).exists():
        return (), ()
    with _store(home) as store:
        return store.okrs(), store.runs()


def readings(home: Home, run_id: str) -> tuple[KrReading, ...]:
    """What was measured in a run."""
    with _store(home) as store:
        return store.readings(run_id)


def find(home: Home, text: str) -> tuple[Okr, OkrRun | None]:
    """What an id means, or the beginning of one: an OKR (then without a run), or a run of one.

    The id of a relay means the run that it works for.

    Raises:
        UnknownOkrError: nothing, or more than one thing, is meant.
    """
    okrs, runs = every(home)
    by_id = {okr.id: okr for okr in okrs}
    if text in by_id:
        return by_id[text], None
    exact = [run for run in runs if text and text in (run.id, run.relay_id)]
    if exact:
        return by_id[exact[-1].okr_id], exact[-1]
    if len(text) < _FEWEST_LETTERS:
        raise UnknownOkrError(text)
    begun = [(okr, None) for okr in okrs if okr.id.startswith(text)]
    begun_runs = [(by_id[run.okr_id], run) for run in runs if run.id.startswith(text)]
    found: list[tuple[Okr, OkrRun | None]] = [*begun, *begun_runs]
    if len(found) != 1:
        raise UnknownOkrError(text, "single OKR or run" if found else "OKR or run")
    return found[0]


# -- changing -------------------------------------------------------------------------------------


def add(home: Home, okr: Okr, run: OkrRun | None) -> tuple[Okr, OkrRun | None]:
    """Store a new OKR and a run of it; one that is there already is given back as it is.

    Raises:
        InvalidOkrError: it is not sound.
        UsageError: the run is another OKR's, or decided on.
    """
    check_okr(okr)
    if run is not None:
        check_run(run)
        if run.okr_id != okr.id:
            raise UsageError(_OTHERS)
        if run.approval is not None or run.status not in ("draft", "pending_approval"):
            raise UsageError("a run is stored before it is decided on, not after")
    with _store(home) as store:
        runs = {one.id: one for one in store.runs()}
        there = runs.get(run.id) if run else None
        if there is not None and there.okr_id != okr.id:
            raise UsageError(_OTHERS)
        try:
            return store.okr(okr.id), run and store.run(run.id)
        except UnknownOkrError:
            store.add(okr, run)
    return okr, run


def add_run(home: Home, run: OkrRun) -> OkrRun:
    """Store a new run of an OKR that is there."""
    check_run(run)
    with _store(home) as store:
        store.add_run(run)
    return run


def decide(
    home: Home, run_id: str, decision: ApprovalDecision, seen: int | None
) -> tuple[Okr, OkrRun]:
    """Approve or deny; of several at once one wins, and the others are told who did.

    Raises:
        OkrTransitionError: it was decided before.
        OkrChangedError: the OKR is not the one that was shown.
    """
    with _store(home) as store:
        return store.change(
            run_id, lambda okr, run, _: transitions.decide(okr, run, decision, seen=seen)
        )


def edit(home: Home, run_id: str, edited: Okr, seen: int, now: str) -> tuple[Okr, OkrRun]:
    """Put an edited draft in the place of the one with version `seen`."""
    check_okr(edited)
    with _store(home) as store:
        return store.change(
            run_id, lambda okr, run, _: transitions.edit(okr, run, edited, seen=seen, now=now)
        )


def begin(home: Home, run_id: str, relay_id: str, now: str) -> tuple[Okr, OkrRun]:
    """Let an approved run begin by that relay, or one that began go on.

    Raises:
        NotApprovedError: nobody approved it.
        OkrTransitionError: another relay works for it, or it is over.
    """

    def change(okr: Okr, run: OkrRun, _: tuple[KrReading, ...]) -> tuple[Okr, OkrRun]:
        if run.status == "approved":
            return okr, transitions.begin(run, relay_id, now)
        return okr, transitions.take_up(run, relay_id, now)

    with _store(home) as store:
        return store.change(run_id, change)


def record(home: Home, run_id: str, found: tuple[KrReading, ...], now: str) -> tuple[Okr, OkrRun]:
    """Keep what was measured; values, progress, status and risk follow it."""

    def change(okr: Okr, run: OkrRun, known: tuple[KrReading, ...]) -> tuple[Okr, OkrRun]:
        return with_readings(okr, known, now), run_with_readings(run, known, now)

    with _store(home) as store:
        return store.change(run_id, change, found)


def end(home: Home, run_id: str, outcome: GoOutcome, now: str) -> tuple[Okr, OkrRun]:
    """A run is over, or pauses; its last readings become its outcomes."""

    def change(okr: Okr, run: OkrRun, known: tuple[KrReading, ...]) -> tuple[Okr, OkrRun]:
        okr, run = transitions.end(okr, run, outcome, now)
        return with_outcomes(okr, run, known)

    with _store(home) as store:
        return store.change(run_id, change)


def cancel(home: Home, run_id: str, now: str) -> tuple[Okr, OkrRun]:
    """Give a run up for good."""
    with _store(home) as store:
        return store.change(run_id, lambda okr, run, _: transitions.cancel(okr, run, now))
