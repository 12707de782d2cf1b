"""What Ralph adds to the work of its agents.

    python scripts/bench/ralph.py [--ray] [--rounds N]      # default: 3 rounds in one process

8 independent stories of 4 model calls of 200 ms each against an HTTP model in another process,
without gates, in a git repository of 200 files: `--parallel 8` and `--parallel 1` against the
critical path (0.8 s, and 8 of them). Overhead per story is what is beyond, divided by the stories:
spawn, tree, commit, merge, squash, landing, the PRD's save. With `--ray` on a head that is kept,
with warm processes; the first round is not counted. Tokens per story are compared with an agent
that does all stories in one conversation. A line per case.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from codetether_ray.core.events import ModelResponded
from codetether_ray.journal.reader import read_records

STORIES, CALLS, DELAY_S = 8, 4, 0.2
_HERE = Path(__file__).parent
_BIN = str(Path(sys.executable).parent / "codetether")


def start_model() -> tuple[subprocess.Popen[str], str]:
    """The model's process and its URL."""
    script = str(_HERE / "ralph_model.py")
    words = ("-m", "codetether_ray.testing.model_server", "--forget", "--script", script)
    server = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    return server, json.loads(server.stdout.readline())["url"]


def make_project(folder: Path) -> None:
    """A repository with the PRD."""
    folder.mkdir(parents=True)
    for number in range(200):
        place = folder / "src" / f"part{number % 10}" / f"file{number}.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"VALUE = {number}\n" * 50)
    stories = [
        {"id": f"S{n}", "title": f"Story {n}", "description": f"Write S{n}.txt."}
        for n in range(STORIES)
    ]
    prd = {"project": "bench", "feature": "eight files", "user_stories": stories}
    (folder / "prd.json").write_text(json.dumps(prd, indent=2))
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@example.com", "-C", str(folder)]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)


def one(work: Path, env: dict[str, str], parallel: int, more: list[str]) -> dict[str, Any]:
    """One run's result."""
    project = Path(tempfile.mkdtemp(dir=work)) / "project"
    make_project(project)
    words = ["ralph", "run", "--model", "local/m", "--json", "--parallel", str(parallel), *more]
    done = subprocess.run([_BIN, *words], cwd=project, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def tokens(data: Path, run_id: str) -> tuple[float, float]:
    """Prompt tokens per story: as sent, and had one conversation gone on through all stories."""
    calls: dict[str, list[tuple[int, int]]] = {}
    for record in read_records(data, run_id, kinds={ModelResponded.tag}):
        if isinstance(record.event, ModelResponded):
            usage = record.event.response.usage
            sent = usage.prompt_tokens + usage.cache_read_tokens
            calls.setdefault(record.agent, []).append((sent, usage.completion_tokens))
    prefix = min(found[0][0] for found in calls.values())
    said = resent = carried = 0
    for found in calls.values():
        said += sum(prompt for prompt, _ in found)
        resent += sum(prompt + carried for prompt, _ in found)
        last_prompt, last_answer = found[-1]
        carried += last_prompt + last_answer - prefix // 2  # system prompt and tools go once
    return said / len(calls), resent / len(calls)


def main() -> None:
    """Print the cases."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ray", action="store_true", help="on a head with warm processes")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    server, url = start_model()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        home = work / "home"
        home.mkdir()
        env = {**os.environ, "HOME": str(home), "CODETETHER_LOCAL_BASE_URL": url}
        try:
            if given.ray:
                subprocess.run([_BIN, "up", "--warm", str(STORIES)], env=env, check=True)
            cases(work, env, given.rounds, is_ray=given.ray)
        finally:
            if given.ray:
                subprocess.run([_BIN, "down"], env=env, check=False)
            server.terminate()
            server.wait()


def cases(work: Path, env: dict[str, str], rounds: int, *, is_ray: bool) -> None:
    """A line per case."""
    more = [] if is_ray else ["--local"]
    where = "on Ray, warm" if is_ray else "in one process"
    data = Path(env["HOME"]) / ".local" / "share" / "codetether-agent"
    one(work, env, STORIES, more)  # not counted
    for parallel in (STORIES, 1):
        ideal_s = CALLS * DELAY_S * STORIES / parallel
        results = [one(work, env, parallel, more) for _ in range(rounds)]
        wall_s = statistics.median(result["elapsed_s"] for result in results)
        case = f"{STORIES} stories x {CALLS} calls x 200 ms, --parallel {parallel}, {where}"
        line(f"{case}: wall", "s", wall_s, "critical path", ideal_s)
        over_ms = (wall_s - ideal_s) / STORIES * 1000
        line(f"{case}: overhead per story", "ms", over_ms, "at most", 300.0)
    sent, resent = tokens(data, results[0]["run_id"])
    line("prompt tokens per story", "tokens", sent, "re-sending the history", resent)


def line(case: str, unit: str, ours: float, name: str, value: float) -> None:
    """One case."""
    row = {
        "bench": "ralph",
        "case": case,
        "unit": unit,
        "ours": round(ours, 3),
        "against": {name: round(value, 3)},
        "ratio": round(ours / value, 3),
    }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
