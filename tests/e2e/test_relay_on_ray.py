"""A relay of `/go` whose supervisor, on Ray, is killed between a measurement and what keeps it."""

import pytest

from codetether_ray.testing.model_server import ModelServer
from tests.e2e.program import Program
from tests.e2e.relay_scene import TASK, RelayModel
from tests.e2e.swarm_scene import git, make_repository


@pytest.fixture
def program(program: Program) -> Program:
    make_repository(program.project)
    return program


async def test_another_supervisor_goes_on_and_repeats_no_call(program: Program) -> None:
    model = RelayModel()
    killed = program.home / "killed"
    async with ModelServer(model) as server:
        ended = await program.run(
            *("run", f"/go 2 {TASK}", "--yes", "--ray", "--format", "json", "--model", "local/m"),
            CODETETHER_LOCAL_BASE_URL=server.url,
            CODETETHER_FAILPOINT="supervisor/measured.recorded:2",
            CODETETHER_FAILPOINT_ONCE=str(killed),
            timeout_s=300,
        )
    assert killed.exists()
    assert ended.code == 0, ended.err
    result = ended.json
    assert (result["outcome"], result["turns"]) == ("all_met", 3)
    assert [r["turn"] for r in result["key_results"][0]["readings"]] == [0, 1, 2, 3]
    assert model.twice == []
    log = git(program.project, "log", "--format=%s", f"{result['base']}..{result['branch']}")
    assert len(log.splitlines()) == 3
