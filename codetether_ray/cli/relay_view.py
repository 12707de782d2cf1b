"""What a relay is doing, as pure state: whose turn it is, and how the key results stand."""

from collections.abc import Iterator

from codetether_ray.cli import words
from codetether_ray.cli.progress import SwarmView
from codetether_ray.core import events as e
from codetether_ray.core.events import Record

_BAR = 10


class RelayView(SwarmView):
    """The state of a relay as its records tell it. A record counted twice is counted once."""

    def __init__(self, run_id: str = "") -> None:
        super().__init__(run_id)
        self.rounds = 0
        self.turn: e.TurnBegun | None = None
        self.measured: e.KrMeasured | None = None

    def _take(self, record: Record) -> Iterator[str]:
        match record.event:
            case e.RelayStarted(rounds=rounds, base_note=note):
                self.phase, self.rounds = "forming a team", rounds
                yield f"forming a team{f'; {note}' if note else ''}"
            case e.RelayContinued(rounds=rounds):
                self.rounds = rounds
            case e.OkrAnswered(answer=answer, by=by):
                yield f"objective {answer}{f' by {by}' if by else ''}"
            case e.TeamFormed(profiles=profiles, note=note):
                names = ", ".join(f"@{each['name']}" for each in profiles)
                yield f"team: {names}"
                if note:
                    yield f"warning: {note}"
            case e.TurnBegun() as turn:
                self.turn = turn
                self.phase = f"round {turn.round} of {self.rounds}, @{turn.member}'s turn"
                yield f"turn {turn.turn} (round {turn.round}): @{turn.member}"
            case e.TurnDone() as done:
                yield from _done(done)
            case e.KrMeasured() as measured:
                self.measured = measured
                yield from key_results(measured)
            case e.RelayFinished(outcome=outcome):
                self.phase = outcome
                yield f"relay {outcome}"
            case _:
                yield from super()._take(record)

    def headline(self, now: float) -> str:
        """One line on the whole relay."""
        return super().headline(now).replace("swarm", "relay", 1)

    def lines(self, now: float, height: int = 30, width: int = 100) -> list[str]:
        """The headline, the key results' bars, and one line per agent."""
        bars = key_results(self.measured) if self.measured is not None else []
        return [*super().lines(now, max(height - len(bars), 3), width), *bars]


def key_results(measured: e.KrMeasured) -> list[str]:
    """A line for each key result: how far, its value, its target."""
    return [_bar(measured, reading.kr_id, reading.value) for reading in measured.readings]


def _bar(measured: e.KrMeasured, kr_id: str, value: float | None) -> str:
    found = (measured.standing or {}).get(kr_id)
    told = found if isinstance(found, dict) else {}
    share = float(str(told.get("progress") or 0.0))
    full = round(share * _BAR)
    unit = f" {told['unit']}" if told.get("unit") else ""
    now = "unknown" if value is None else f"{value:g}{unit}"
    target = f" of {float(str(told['target'])):g}{unit}" if "target" in told else ""
    risk = f"; at risk: {told['at_risk_because']}" if told.get("at_risk_because") else ""
    title = words.one_line(str(told.get("title") or kr_id), 60)
    return f"[{'#' * full}{'.' * (_BAR - full)}] {share:4.0%} {title}: {now}{target}{risk}"


def _done(done: e.TurnDone) -> Iterator[str]:
    said = words.one_line(done.result.text, 100)
    how = "" if done.result.is_success else f" ({done.result.outcome})"
    yield f"turn {done.turn}: @{done.member} is done{how}: {said}"
    if done.specialist is not None:
        yield f"@{done.specialist['name']} joins the team"
