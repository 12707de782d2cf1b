"""A process of agents is put back as it was, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_SCRIPT = """
import asyncio, gc, json, os, sys
from pathlib import Path
from codetether_ray.local.slate import Slate

async def lives():
    slate = Slate(Path(sys.argv[1]))
    told = {}
    slate.begin()
    told["looks"] = gc.get_threshold()[0]
    gc.set_threshold(1)
    slate.dress({"OF_THE_RUN": "1"})
    told["untouched"] = slate.tidy()
    os.environ["OF_AN_AGENT"] = "2"
    os.environ["OF_THE_RUN"] = "3"
    os.chdir("/")
    os.umask(0o077)
    told["touched"] = slate.tidy()
    told["after"] = [os.environ.get("OF_AN_AGENT"), os.environ.get("OF_THE_RUN"), os.getcwd()]
    told["again"] = slate.tidy()
    told["marks"] = await slate.wipe()
    slate.begin()
    told["looks_again"] = gc.get_threshold()[0]
    told["of_the_last"] = slate.tidy()
    told["worn"] = os.environ.get("OF_THE_RUN")
    print(json.dumps(told))

asyncio.run(lives())
"""


def _lives(folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(folder)],
        cwd=folder,
        stdout=subprocess.PIPE,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_what_an_agent_changed_is_put_back_and_a_life_wears_nothing_of_the_last(
    tmp_path: Path,
) -> None:
    told = _lives(tmp_path)
    assert told["untouched"] == []
    assert told["touched"] == ["working directory", "umask", "variables"]
    assert told["after"] == [None, "1", str(tmp_path.resolve())]
    assert told["again"] == []
    assert told["marks"] == []
    assert told["of_the_last"] == []
    assert told["worn"] is None
    assert told["looks"] == told["looks_again"] > 700
