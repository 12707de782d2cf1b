"""How a Ralph run ends early, and what is asked of people: against a model behind real HTTP."""

import asyncio
import json
import shutil
import signal
from pathlib import Path

from codetether_ray.bootstrap.ralph.prd_file import PrdFile
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.e2e.program import Program
from tests.e2e.ralph_scene import STORIES, RalphModel, make_project
from tests.e2e.swarm_scene import git
from tests.e2e.terminal import ENTER, terminal

_EXAMPLES = Path(__file__).parents[2] / "examples"
LOCAL = ("ralph", "run", "--local", "--model", "local/m", "--json")


async def test_interrupted_it_ends_with_130_and_goes_on_where_it_was(program: Program) -> None:
    make_project(program.project, stories=STORIES[:2])
    begun = asyncio.Event()
    model = RalphModel()

    async def script(request: ModelCall) -> Reply:
        if model.who(request) == "US-002" and request.step == 1 and not begun.is_set():
            begun.set()
            await asyncio.sleep(30)
        return await model(request)

    async with ModelServer(script) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        process = await program.start(*LOCAL, **env)
        async with asyncio.timeout(180):
            await begun.wait()
        cut = await program.interrupted(process, signal.SIGINT)
        assert (cut.code, cut.json["outcome"]) == (130, "interrupted"), cut.err
        assert cut.json["resume"] == f"codetether ralph run --resume {cut.json['run_id']}"
        assert cut.json["resume"] in cut.err
        assert [s["status"] for s in cut.json["stories"]] == ["passed", "open"]
        ended = await program.run(*LOCAL, "--resume", **env)
    assert (ended.code, ended.json["outcome"]) == (0, "completed"), ended.err
    assert ended.json["run_id"] == cut.json["run_id"]
    assert model.asked.count(("US-001", 0)) == model.asked.count(("US-002", 0)) == 1
    assert ended.json["current_iteration"] == 2


async def test_a_gate_that_hangs_is_ended_and_its_words_are_kept(program: Program) -> None:
    gates = {"test": "echo waiting for the answer; sleep 60"}
    make_project(program.project, stories=STORIES[:1], quality_checks=gates)
    async with ModelServer(RalphModel()) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        limits = ("--gate-timeout", "1s", "--max-iterations", "1")
        ended = await program.run(*LOCAL, *limits, **env)
    assert (ended.code, ended.json["outcome"]) == (1, "max_iterations")
    story = ended.json["stories"][0]
    assert (story["status"], story["cause"]) == ("open", "gates")
    assert "did not end in time" in story["detail"]
    assert "waiting for the answer" in story["detail"]
    assert git(program.project, "branch", "--list", "ralph/*") == ""
    assert json.loads((program.project / "prd.json").read_text())["user_stories"][0] == {
        "description": "Do the work of US-001.",
        "acceptance_criteria": [],
        **STORIES[0],
    }


async def test_an_amendment_needs_somebodys_word_and_is_made_in_place(program: Program) -> None:
    wrong = {**STORIES[0], "acceptance_criteria": ["It has two wheels", "It is red"]}
    make_project(program.project, stories=[wrong])
    before = (program.project / "prd.json").read_text()

    def script(request: ModelCall) -> Reply:
        if "1. It has two wheels" in request.first_user_text:
            return say("CRITERION_WRONG: 1: src/shared.txt has three => It has three wheels")
        if request.step == 0:
            return call("write_file", path="src/US-001.txt", content="right\n")
        return say("STORY_COMPLETE: US-001")

    async with ModelServer(script) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        denied = await program.run(*LOCAL, **env)
        assert (denied.code, denied.json["outcome"]) == (1, "blocked")
        assert "evidence:  src/shared.txt has three" in denied.err
        assert (program.project / "prd.json").read_text() == before
        agreed = await program.run(*LOCAL, "--yes", "--resume", **env)
    assert agreed.code == 0, agreed.err
    after = (program.project / "prd.json").read_text()
    amended = before.replace("It has two wheels", "It has three wheels")
    assert after.replace(',\n            "passes": true', "") == amended
    assert git(program.project, "show", "ralph/eight-things:prd.json") == after.rstrip("\n")


async def test_two_criteria_found_wrong_at_once_are_asked_about_one_by_one_at_a_terminal(
    program: Program,
) -> None:
    ids = ("US-001", "US-006")
    stories = [{"id": id, "title": id, "acceptance_criteria": [f"{id} is red"]} for id in ids]
    make_project(program.project, stories=stories)

    def script(request: ModelCall) -> Reply:
        id = next(id for id in ids if f"Your story, {id}:" in request.first_user_text)
        if f"{id} is red" in request.first_user_text:
            return say(f"CRITERION_WRONG: 1: it is blue => {id} is blue")
        if request.step == 0:
            return call("write_file", path=f"src/{id}.txt", content="right\n")
        return say(f"STORY_COMPLETE: {id}")

    async with ModelServer(script) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        words = [word for word in LOCAL if word != "--json"]
        async with terminal(program, *words, **env) as screen:
            await screen.sees("Amend it?")
            screen.press("y", ENTER)
            await screen.sees("Amend it?")
            await screen.enter("It may be green")
            await screen.sees("2 of 2 stories passed")
            assert await screen.ended() == 0
    prd = json.loads((program.project / "prd.json").read_text())
    told = sorted(story["acceptance_criteria"][0] for story in prd["user_stories"])
    assert told[0] == "It may be green"
    assert told[1].endswith(" is blue")


async def test_the_example_is_worked_off_in_an_empty_repository(program: Program) -> None:
    text = (_EXAMPLES / "ralph" / "prd.json").read_text()
    (program.project / "prd.json").write_text(text)
    git(program.project, "init", "--quiet", "--initial-branch=dev")
    git(program.project, "commit", "--quiet", "--allow-empty", "--message=begin")
    stories = [story["id"] for story in json.loads(text)["user_stories"]]

    def script(request: ModelCall) -> Reply:
        id = next(s for s in stories if f"Your story, {s}:" in request.first_user_text)
        if request.step:
            return say(f"Done.\nSTORY_COMPLETE: {id}")
        test = "import unittest\n\n\nclass Case(unittest.TestCase):\n    def test_it(self): pass\n"
        return call("write_file", path=f"tests/test_{id[-3:]}.py", content=test)

    async with ModelServer(script) as server:
        ended = await program.run(*LOCAL, CODETETHER_LOCAL_BASE_URL=server.url)
    assert ended.code == 0, ended.err
    log = git(program.project, "log", "--format=%s", "dev..ralph/notes-in-a-file").splitlines()
    assert (log[-1], log[0]) == (
        "feat(nt-001): A store of notes",
        "feat(nt-004): Search on the command line",
    )
    after = (program.project / "prd.json").read_text()
    assert after == text.replace('"passes": false', '"passes": true')


async def test_outside_git_the_result_is_a_patch_and_the_gates_still_decide(
    program: Program,
) -> None:
    make_project(program.project, stories=STORIES[:2])
    shutil.rmtree(program.project / ".git")
    async with ModelServer(RalphModel()) as server:
        ended = await program.run(*LOCAL, CODETETHER_LOCAL_BASE_URL=server.url)
    assert (ended.code, ended.json["branch"]) == (0, None), ended.err
    patch = Path(ended.json["patch"]).read_text()
    assert "+right US-002" in patch
    assert "prd.json" not in patch
    assert (program.project / "prd.json").read_text().count('"passes": true') == 2
    assert not (program.project / "src" / "US-002.txt").exists()


async def test_a_prd_that_holds_a_stored_key_is_refused(program: Program) -> None:
    key = "sk-proj-Zq7marked4secret9value2never8seen"
    leaky = {**STORIES[0], "description": f"Use {key} for the API."}
    make_project(program.project, stories=[leaky])
    stored = await program.run("auth", "set", "openai", stdin=f"{key}\n")
    assert stored.code == 0, stored.err
    submit = ("ralph", "submit", "--address", "127.0.0.1:9", "--model", "local/m")
    for words in (LOCAL, submit):
        ended = await program.run(*words, CODETETHER_LOCAL_BASE_URL="http://127.0.0.1:9/v1")
        assert ended.code == 2
        assert "prd.json holds a key that is stored here" in ended.err
        assert key not in ended.err


async def test_of_two_runs_on_a_prd_the_second_is_refused_and_leaves_no_run(
    program: Program,
) -> None:
    make_project(program.project, stories=STORIES[:1])
    with PrdFile(program.project / "prd.json", program.data, holder="rlp_first"):
        ended = await program.run(*LOCAL, CODETETHER_LOCAL_BASE_URL="http://127.0.0.1:9/v1")
    assert (ended.code, ended.out) == (1, "")
    assert "is being worked on by rlp_first" in ended.err
    assert "--resume" not in ended.err
    assert not list((program.data / "events").glob("rlp_*"))


async def test_a_prd_that_is_deleted_meanwhile_ends_the_run_at_once_and_it_goes_on_later(
    program: Program,
) -> None:
    make_project(program.project, stories=STORIES[:1])
    prd = program.project / "prd.json"

    def deletes(request: ModelCall) -> Reply:
        prd.unlink(missing_ok=True)
        return RalphModel().answer("US-001", request)

    async with ModelServer(deletes) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        ended = await program.run(*LOCAL, **env)
        assert (ended.code, ended.json["outcome"]) == (2, "interrupted")
        assert "prd.json: it was deleted while it was being worked on" in ended.json["error"]
        run = str(ended.json["run_id"])
        assert f"--resume {run}" in ended.err
        git(program.project, "checkout", "--", "prd.json")
        again = await program.run(*LOCAL, "--resume", run, **env)
        assert server.count == 2
    assert (again.code, again.json["outcome"]) == (0, "completed"), again.err
    assert "/gates" not in git(program.project, "for-each-ref")


async def test_a_prd_outside_any_repository_is_worked_off_in_this_one(
    program: Program, tmp_path: Path
) -> None:
    make_project(program.project, stories=STORIES[:1], tracked=False)
    place = tmp_path / "my prds" / "prd.json"
    place.parent.mkdir()
    (program.project / "prd.json").rename(place)
    async with ModelServer(RalphModel()) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        ended = await program.run(*LOCAL, "-p", str(place), **env)
    assert ended.code == 0, ended.err
    show = ("show", "--name-only", "--format=", "ralph/eight-things")
    assert git(program.project, *show) == "src/US-001.txt"
    assert '"passes": true' in place.read_text()
    assert (place.parent / "progress.txt").exists()
