from codetether_ray.cli.relay_view import RelayView
from codetether_ray.core import events as e
from codetether_ray.core.events import Event, Record
from codetether_ray.core.measures import KrReading
from codetether_ray.core.spec import Correlation, TurnResult


def _lines(view: RelayView, *found: Event) -> list[str]:
    records = [
        Record(correlation=Correlation(run_id="rly"), agent="run", event=event, time=float(n))
        for n, event in enumerate(found)
    ]
    return [line for record in records for line in view.apply(record)]


MEASURED = e.KrMeasured(
    turn=1,
    commit="c",
    readings=(
        KrReading(kr_id="a", turn=1, commit="c", value=150.0),
        KrReading(kr_id="b", turn=1, commit="c", reason="it took too long"),
    ),
    standing={
        "a": {"title": "p95", "target": 100.0, "unit": "ms", "progress": 0.5},
        "b": {"title": "tests", "target": 1.0, "progress": 0.0, "at_risk_because": "slow"},
    },
)


def test_a_relay_tells_its_team_whose_turn_it_is_and_how_the_key_results_stand() -> None:
    view = RelayView()
    lines = _lines(
        view,
        e.RelayStarted(task="t", count=2, rounds=3),
        e.TeamFormed(profiles=({"name": "auto-a"}, {"name": "auto-b"})),
        e.TurnBegun(turn=1, round=1, idx=0, member="auto-a", sender="user", baton=""),
        e.TurnDone(
            turn=1,
            round=1,
            idx=0,
            member="auto-a",
            result=TurnResult(outcome="max_steps", text="half\nof it"),
            specialist={"name": "auto-sql"},
        ),
        MEASURED,
        e.RelayFinished(outcome="max_rounds", result={}),
    )
    assert lines == [
        "forming a team",
        "team: @auto-a, @auto-b",
        "turn 1 (round 1): @auto-a",
        "turn 1: @auto-a is done (max_steps): half of it",
        "@auto-sql joins the team",
        "[#####.....]  50% p95: 150 ms of 100 ms",
        "[..........]   0% tests: unknown of 1; at risk: slow",
        "relay max_rounds",
    ]


def test_the_screen_shows_the_bars_below_the_agents() -> None:
    view = RelayView("rly_1")
    turn = e.TurnBegun(turn=2, round=1, idx=1, member="auto-b", sender="auto-a", baton="")
    _lines(view, e.RelayStarted(task="t", count=2, rounds=3), turn, MEASURED)
    head, *rest = view.lines(now=2.0)
    assert head.startswith("relay rly_1 · round 1 of 3, @auto-b's turn")
    assert rest[-2:] == [
        "[#####.....]  50% p95: 150 ms of 100 ms",
        "[..........]   0% tests: unknown of 1; at risk: slow",
    ]
