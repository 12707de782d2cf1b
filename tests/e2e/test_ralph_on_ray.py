"""`codetether ralph run` on a private Ray: one long scene, since each start takes seconds."""

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply
from tests.e2e.program import Program
from tests.e2e.ralph_scene import STORIES, RalphModel, make_project
from tests.e2e.ray_scene import kill_titled
from tests.e2e.swarm_scene import git

SCENE = tuple(s for s in STORIES if s["id"] in ("US-001", "US-004", "US-005"))


class Killing(RalphModel):
    """Kills the agent of the first story once, while it waits for its second answer."""

    program: Program
    killed: int = 0

    async def __call__(self, request: ModelCall) -> Reply:
        if self.who(request) == "US-001" and request.step == 1 and not self.killed:
            self.killed = len(kill_titled(self.program, "ray::SubAgent"))
        return await super().__call__(request)


async def test_an_agent_is_killed_two_stories_conflict_and_the_feature_is_merged(
    program: Program,
) -> None:
    make_project(program.project, stories=SCENE)
    model = Killing(meets=True)
    model.program = program
    async with ModelServer(model) as server:
        ended = await program.run(
            *("ralph", "run", "--model", "local/m", "--json", "--merge"),
            timeout_s=300,
            CODETETHER_LOCAL_BASE_URL=server.url,
        )
    assert ended.code == 0, ended.err
    result = ended.json
    assert (result["outcome"], model.killed) == ("completed", 1)
    assert {s["id"]: s["attempts"] for s in result["stories"]} == {s["id"]: 1 for s in SCENE}
    assert (program.project / "src" / "shared.txt").read_text() == "both\n"
    assert git(program.project, "status", "--porcelain") == ""
    assert model.asked.count(("US-001", 0)) == 1
    shown = await program.run("replay", result["run_id"])
    assert "US-001: gate test: passed" in shown.out
