"""`codetether send` where the connection breaks, and what it shows of odd answers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from a2a.types import Artifact, Part, StreamResponse, Task, TaskState, TaskStatus

from codetether_ray.a2a.said import Said
from codetether_ray.cli import send_talk
from codetether_ray.cli.send_talk import Talk, Wanted
from codetether_ray.cli.send_view import View, plain
from codetether_ray.core.errors import PeerError

WANTED = Wanted(url="http://a", act="send", text="hi", answer_with="codetether send http://a x")


def _task(state: Any, text: str = "") -> Task:
    task = Task(id="t", context_id="c", status=TaskStatus(state=state))
    if text:
        task.artifacts.append(Artifact(artifact_id="a", name="response", parts=[Part(text=text)]))
    return task


class Broken:
    """Its stream breaks after the first update; then it is away for a while."""

    def __init__(self, away: int, begins: bool = True) -> None:
        self.asked = 0
        self._away, self._begins = away, begins

    async def send_message(self, request: Any) -> AsyncIterator[StreamResponse]:
        if self._begins:
            yield StreamResponse(task=_task(TaskState.TASK_STATE_WORKING))
        raise PeerError("http://a", "gone")

    async def get_task(self, request: Any) -> Task:
        self.asked += 1
        if self.asked <= self._away:
            raise PeerError("http://a", "still gone")
        return _task(TaskState.TASK_STATE_COMPLETED, "done")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_talk, "_PAUSES_S", (0.0,))


async def _converse(client: Any) -> Said:
    said = Said()
    await Talk(WANTED)._converse(client, said)
    return said


async def test_a_stream_that_breaks_is_followed_by_asking_even_if_nobody_answers_for_a_while(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = await _converse(Broken(away=3))
    assert (said.state, said.text) == ("completed", "done")
    shown = capsys.readouterr()
    assert "done" in shown.out
    assert "the stream broke" in shown.err


async def test_who_does_not_come_back_is_given_up() -> None:
    client = Broken(away=1000)
    with pytest.raises(PeerError, match="still gone"):
        await _converse(client)
    assert client.asked == 10


async def test_a_message_that_was_not_taken_is_no_broken_stream() -> None:
    with pytest.raises(PeerError, match=": gone"):
        await _converse(Broken(away=0, begins=False))


def test_a_text_that_grows_is_printed_once_and_one_that_changes_anew(
    capsys: pytest.CaptureFixture[str],
) -> None:
    view, said = View(as_json=False), Said(state="working", task_id="t", context_id="c")
    for text in ("One", "One two", "One two", "Other"):
        said.artifacts["a"] = ("response", text)
        view.show(said)
    said.artifacts["p"] = ("changes.patch", "+x\n")
    said.words = "Other"
    view.show(said)
    view.finish("n", "http://a", said)
    shown = capsys.readouterr()
    assert shown.out == "One two\nOther\n+x\n"
    assert shown.err == "working (task t, context c)\nchanges.patch:\n"


def test_nothing_that_steers_a_terminal_is_left_in_a_text() -> None:
    assert plain("a\tb\n\x1b]0;x\x07\r\x9b2J\u202e") == "a\tb\n\ufffd]0;x\ufffd\ufffd\ufffd2J\ufffd"
