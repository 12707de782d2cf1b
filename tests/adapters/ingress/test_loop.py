"""The ingress' event loop is uvloop, but starts commands as asyncio does."""

import asyncio
import subprocess
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop

from codetether_ray.ingress.loop import new_loop


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)


def test_commands_have_input_output_and_an_exit_code() -> None:
    async def talk() -> tuple[bytes, int | None]:
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
        made = await asyncio.create_subprocess_exec(
            "sh", "-c", "cat; exit 3", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        said, _ = await made.communicate(b"hello" * 50_000)
        return said, made.returncode

    assert run(talk()) == (b"hello" * 50_000, 3)


def test_a_shell_s_command_can_be_killed() -> None:
    async def kill() -> int | None:
        made = await asyncio.create_subprocess_shell("sleep 60", stdout=subprocess.DEVNULL)
        made.kill()
        return await made.wait()

    assert run(kill()) == -9


def test_many_commands_at_once_all_end() -> None:
    async def one(number: int) -> int | None:
        made = await asyncio.create_subprocess_exec("sh", "-c", f"exit {number}")
        return await made.wait()

    async def all_of_them() -> list[int | None]:
        return await asyncio.gather(*(one(number) for number in range(20)))

    assert run(all_of_them()) == list(range(20))


def test_a_command_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        run(asyncio.create_subprocess_exec("/no/such/command"))


def test_commands_are_not_started_by_uvloop_s_own_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    plain = subprocess.Popen

    class Noted(plain):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: Any, **more: Any) -> None:
            started.append(arguments)
            super().__init__(*arguments, **more)

    monkeypatch.setattr(subprocess, "Popen", Noted)

    async def one() -> int | None:
        return await (await asyncio.create_subprocess_exec("true")).wait()

    assert run(one()) == 0
    assert len(started) == 1
