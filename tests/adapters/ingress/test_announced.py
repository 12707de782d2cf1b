"""What a `serve` in the foreground tells other commands of its user."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from codetether_ray.core.errors import ServesHereError
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.serve_announced import (
    Announced,
    announced,
    demand_none,
    end_announced,
    find_announced,
)

_HOLDS = """
import sys, time
from pathlib import Path
from codetether_ray.ingress.serve_announced import announced
with announced(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_one_is_told_where_the_first_answers_until_that_ends(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert find_announced(data) is None
    with announced(data) as first:
        assert find_announced(data) == Announced(pid=os.getpid())
        first.tell(IngressOptions(port=4100, grpc_port=4101), "now")
        with pytest.raises(ServesHereError, match=r":4100 and 127\.0\.0\.1:4101"):
            demand_none(data)
        with pytest.raises(ServesHereError), announced(data):
            pass
        assert find_announced(data) is not None, "who was refused took nothing away"
    demand_none(data)
    with announced(data):
        pass


async def test_a_process_that_holds_one_is_ended_and_what_a_dead_one_left_says_nothing(
    tmp_path: Path,
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLDS, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"held\n"
        ended = await end_announced(tmp_path)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert ended == Announced(pid=process.pid)
    assert (tmp_path / "serve.lock").read_text(), "it was killed, and cleared nothing away"
    assert find_announced(tmp_path) is None
    assert await end_announced(tmp_path) is None
