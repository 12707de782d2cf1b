"""Prompt tokens that `codetether run` sends: the first request, and a task of three turns.

    python scripts/bench/tokens.py

Counted at the server, over the whole HTTP body, at four bytes per token (vendors' tokenizers differ
and need a download). `against` is the promise of the project: system prompt and tool schemas under
4,000 tokens; and for the task, what three requests cost if each sent the first one's prompt anew.
"""

import asyncio
import json
import sys
import tempfile

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, calls, say

_BYTES_PER_TOKEN = 4
_PROMISE = 4_000


def _model(asked: ModelCall) -> Reply:
    if asked.step == 0:
        return calls(("list_dir", {"path": "."}))
    if asked.step == 1:
        return calls(("bash", {"command": "echo three turns"}))
    return say("done")


def _tokens(body: object) -> int:
    return len(json.dumps(body, ensure_ascii=False).encode()) // _BYTES_PER_TOKEN


async def _run(url: str, home: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "codetether_ray", "run", "-m", "local/bench", "List the files."),
        cwd=home,
        env={"PATH": "/usr/bin:/bin", "HOME": home, "CODETETHER_LOCAL_BASE_URL": url},
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await process.wait() != 0:
        sys.exit("the run failed")


async def main() -> None:
    """Print a line per case."""
    with tempfile.TemporaryDirectory() as home:
        async with ModelServer(_model) as server:
            await _run(server.url, home)
        bodies = [request.body for request in server.requests]
    first = bodies[0]
    system = [m for m in first["messages"] if m["role"] == "system"]
    prefix = _tokens({"system": system, "tools": first["tools"]})
    rows = (
        ("system prompt and tool schemas", prefix, "promise", _PROMISE),
        ("first request, whole", _tokens(first), "promise", _PROMISE),
        (
            "task of 3 turns, all requests",
            sum(map(_tokens, bodies)),
            "3 x first",
            3 * _tokens(first),
        ),
    )
    for case, ours, name, value in rows:
        row = {
            "bench": "tokens",
            "case": case,
            "unit": "tokens (bytes / 4)",
            "ours": ours,
            "against": {name: value},
            "ratio": round(ours / value, 3),
        }
        print(json.dumps(row))


if __name__ == "__main__":
    asyncio.run(main())
