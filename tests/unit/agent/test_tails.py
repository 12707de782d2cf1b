"""The output of a command that is cut off: its end, whole lines, nothing secret."""

import asyncio
from pathlib import Path

from codetether_ray.agent.tails import Tail, tail_path, take_tail


def hidden(text: str) -> str:
    return text.replace("s3cret", "***")


async def test_what_was_printed_is_there_at_once_and_once(tmp_path: Path) -> None:
    path = tail_path(tmp_path / "output", "ses_1", "main", "call_1")
    tail = Tail(path, hidden)
    tail.feed("one\nthe s3cret\nhalf a s3c")
    assert take_tail(path) == "one\nthe ***"
    assert take_tail(path) == ""
    tail.stop(keep=False)


async def test_a_call_that_ended_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    tail = Tail(path, hidden)
    tail.feed("one\n")
    tail.feed("two\n")
    tail.stop(keep=False)
    assert not path.exists()
    await asyncio.sleep(0)
    Tail(path, hidden).stop(keep=False)


async def test_a_call_that_is_cut_off_leaves_the_end_of_its_output(tmp_path: Path) -> None:
    path = tmp_path / "x"
    tail = Tail(path, hidden)
    for number in range(3_000):
        tail.feed(f"line {number}\n")
    tail.stop(keep=True)
    kept = take_tail(path).splitlines()
    assert kept[-1] == "line 2999"
    assert kept == [f"line {n}" for n in range(3_000 - len(kept), 3_000)]
    assert 500 < len(kept) < 1_000


async def test_a_disk_that_refuses_is_no_fault_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    tail = Tail(tmp_path / "file" / "x", hidden)
    tail.feed("one\n")
    tail.stop(keep=True)
    assert take_tail(tmp_path / "file" / "x") == ""
