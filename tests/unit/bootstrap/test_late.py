"""What is imported at its first use."""

from pathlib import Path
from typing import Any

from codetether_ray.bootstrap.late import LateChildRuns, LateSnapshots


class _Does:
    """Answers every call with its own name and arguments."""

    def __getattr__(self, name: str) -> Any:
        async def answer(*given: Any) -> Any:
            return (name, *given)

        return answer


async def test_trees_are_opened_when_one_is_wanted_and_once(tmp_path: Path) -> None:
    opened: list[Any] = []

    def open_them() -> Any:
        opened.append(_Does())
        return opened[-1]

    late: Any = LateSnapshots(tmp_path, open_them, is_own=True)
    assert late.is_own
    assert late.is_there
    assert opened == []
    assert await late.take("step 1") == ("take", "step 1")
    assert await late.restore() == ("restore",)
    assert await late.has_been_done(print) == ("has_been_done", print)
    await late.go_on_from("c0ffee")
    assert len(opened) == 1
    assert not LateSnapshots(tmp_path / "gone", open_them, is_own=False).is_there


async def test_child_runs_are_opened_when_one_is_wanted_and_once() -> None:
    opened: list[Any] = []

    def open_them() -> Any:
        opened.append(_Does())
        return opened[-1]

    late: Any = LateChildRuns(open_them)
    assert opened == []
    assert await late.run("parent", "c1", "wish") == ("run", "parent", "c1", "wish")
    assert await late.run("parent", "c2", "wish") == ("run", "parent", "c2", "wish")
    assert len(opened) == 1
