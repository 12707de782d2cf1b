"""What those are told who watch a session: whatever order records come in, whenever they begin."""

import random

from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.bootstrap.a2a.story import Story, Told
from codetether_ray.core.events import (
    Event,
    ModelRequested,
    ModelResponded,
    Record,
    Retrying,
    RunFinished,
    RunStarted,
    TextStreamed,
    ToolFinished,
    ToolStarted,
    Warned,
)
from codetether_ray.core.messages import ToolCall, ToolResult, assistant
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.spec import Correlation

_HERE = Correlation(run_id="ses_0mabc12345_deadbeef")
_FIRST = 7  # the session had a turn before
_CALL = ToolCall(id="c", name="bash", arguments='{"command": "ls"}')


def _responded(step: int, text: str, *calls: ToolCall) -> ModelResponded:
    reason = "tool_calls" if calls else "stop"
    response = ModelResponse(message=assistant(text, *calls), finish_reason=reason)
    return ModelResponded(step=step, response=response, elapsed_ms=1)


def _requested(step: int) -> ModelRequested:
    return ModelRequested(step=step, attempt=0, model="m", digest="d", messages=1)


_TURN: tuple[tuple[str, Event], ...] = (
    ("run", RunStarted(kind="session", title="t", directory="/", model="m")),
    ("main", _requested(3)),
    ("main", TextStreamed(step=3, text="I ")),
    ("main", TextStreamed(step=3, text="look.")),
    ("main", _responded(3, "I look.", _CALL)),
    ("main", ToolStarted(step=3, call=_CALL, effect="shell")),
    (
        "main",
        ToolFinished(step=3, result=ToolResult(call_id="c", name="bash", content="a.txt")),
    ),
    ("main", _requested(4)),
    ("main", TextStreamed(step=4, text="Half")),
    ("main", Retrying(step=4, attempt=1, next_in_s=0.1, reason="cut")),
    ("main", TextStreamed(step=4, text="One ")),
    ("main", TextStreamed(step=4, text="file.")),
    ("main", _responded(4, "One file.")),
    ("run", RunFinished(outcome="completed", summary={"text": "One file."})),
)


def _records() -> list[Record]:
    found, seq = [], _FIRST
    for agent, event in _TURN:
        lives = isinstance(event, TextStreamed | Retrying)
        number = -1 if lives else seq
        seq += not lives
        found.append(Record(correlation=_HERE, agent=agent, event=event, time=0.0, seq=number))
    return found


def _told(story: Story, records: list[Record]) -> list[Told]:
    return [told for record in records for told in story.told(record)] + list(story.rest())


def _texts(events: list[Told]) -> dict[object, str]:
    found: dict[object, str] = {}
    for one in events:
        if one.kind == "text":
            before = "" if one.data.get("reset") else found.get(one.data["step"], "")
            found[one.data["step"]] = before + str(one.data["text"])
    return found


def test_a_turn_is_told_in_order_and_ends_with_its_result() -> None:
    told = _told(Story(), _records())
    assert [one.kind for one in told if one.kind != "text"] == [
        "status",
        "tool",
        "tool",
        "status",
        "done",
    ]
    assert _texts(told) == {3: "I look.", 4: "One file."}
    assert told[-1].data == {"text": "One file."}


@given(st.integers(0, 2**32))
def test_agents_that_overtake_each_other_change_nothing_that_is_told_of_records(seed: int) -> None:
    luck = random.Random(seed)
    queues = [[r for r in _records() if r.agent == name] for name in ("run", "main")]
    mixed: list[Record] = []
    while any(queues):
        mixed.append(luck.choice([queue for queue in queues if queue]).pop(0))
    told = _told(Story(), mixed)
    assert [one.seq for one in told] == sorted(one.seq for one in told)
    assert _texts(told) == {3: "I look.", 4: "One file."}
    assert told[-1].kind == "done"


@given(st.integers(0, len(_TURN)), st.integers(0, len(_TURN)))
def test_who_comes_back_has_everything_once_however_much_the_bus_lost(cut: int, joins: int) -> None:
    records = _records()
    story = Story()
    before = [told for record in records[:cut] for told in story.told(record)]
    seen = max((one.seq for one in before if one.seq >= 0), default=None)
    again = Story(_FIRST - 1 if seen is None else seen)
    journal = [record for record in records if record.seq >= 0][: joins + 1]
    after = _told(again, [*journal, *records[joins:]])
    durable = [one for one in before + after if one.kind in ("tool", "done")]
    assert [one.kind for one in durable] == ["tool", "tool", "done"]
    assert _texts(before + after) == {3: "I look.", 4: "One file."}


def test_records_before_the_turn_are_anothers() -> None:
    old = Record(correlation=_HERE, agent="main", event=_requested(2), time=0.0, seq=_FIRST - 1)
    assert _told(Story(), [*_records(), old])[-1].kind == "done"


def test_a_record_that_never_comes_holds_nothing_back_for_ever() -> None:
    records = [record for record in _records() if record.seq != _FIRST + 1]
    told = _told(Story(), records)
    assert told[-1].kind == "done"
    assert _texts(told) == {3: "I look.", 4: "One file."}


def test_a_warning_is_told_beside_the_rest() -> None:
    story = Story()
    warned = Record(correlation=_HERE, agent="run", event=Warned(text="careful"), time=0.0)
    [told] = story.told(warned)
    assert (told.kind, told.data["detail"], told.seq) == ("status", "careful", -1)
