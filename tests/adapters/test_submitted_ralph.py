"""What a submitted Ralph run is begun from, and what comes back of it, on real repositories."""

import json
from pathlib import Path

import pytest

from codetether_ray.bootstrap.ralph.fetched import set_down
from codetether_ray.bootstrap.ralph.request import RalphRequest
from codetether_ray.bootstrap.ralph.run import RalphRunWish
from codetether_ray.bootstrap.ralph.submission import _cloned
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import UsageError, WorkspaceError
from tests.e2e.ralph_scene import STORIES, make_project
from tests.e2e.swarm_scene import git

BRANCH = "ralph/eight-things"


def fetched(project: Path, data_dir: Path) -> tuple[RalphRequest, JsonObject]:
    """A run of the project, and its result with one story passed in a commit that is here."""
    (project / "new.txt").write_text("new\n")
    git(project, "add", "new.txt")
    git(project, "commit", "--quiet", "--message=feat(us-001): The core")
    commit = git(project, "rev-parse", "HEAD")
    git(project, "reset", "--quiet", "--hard", "HEAD~1")
    request = RalphRequest(
        ralph_id="rlp_0000000000_00000000",
        prd=str(project / "prd.json"),
        prd_text=(project / "prd.json").read_text(),
        progress_text=(project / "progress.txt").read_text(),
        directory=str(project),
        data_dir=str(data_dir),
        model="local/m",
        repository="r",
    )
    rows: list[JsonObject] = [{"id": s["id"], "status": "open"} for s in STORIES]
    rows[0]["status"] = "passed"
    result: JsonObject = {
        "commit": commit,
        "branch": "codetether/x/main",
        "stories": list(rows),
        "files": {"progress": "# What we know\nmore\n"},
    }
    return request, result


async def test_the_branch_follows_and_the_prd_as_it_is_now_is_marked(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    make_project(project)
    request, result = fetched(project, tmp_path / "data")
    text = (project / "prd.json").read_text()
    (project / "prd.json").write_text(text.replace('"sample"', '"renamed meanwhile"'))
    out, said = await set_down(request, result, tmp_path / "data")
    assert (out["branch"], "files" in out) == (BRANCH, False)
    assert git(project, "rev-parse", BRANCH) == result["commit"]
    prd = json.loads((project / "prd.json").read_text())
    assert prd["project"] == "renamed meanwhile"
    assert [s["passes"] for s in prd["user_stories"] if "passes" in s] == [True]
    assert (project / "progress.txt").read_text() == "# What we know\nmore\n"
    assert any("1 of 8 stories pass" in sentence for sentence in said)


async def test_a_branch_that_went_on_by_itself_stays_where_it_is(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    make_project(project)
    request, result = fetched(project, tmp_path / "data")
    git(project, "checkout", "--quiet", "-b", BRANCH)
    git(project, "commit", "--quiet", "--allow-empty", "--message=mine")
    mine = git(project, "rev-parse", "HEAD")
    _, said = await set_down(request, result, tmp_path / "data")
    assert any("is checked out" in sentence for sentence in said)
    git(project, "checkout", "--quiet", "dev")
    out, said = await set_down(request, result, tmp_path / "data")
    assert any("was moved to" in sentence for sentence in said)
    assert out["branch"] == "codetether/x/main"
    assert git(project, "rev-parse", BRANCH) == mine


async def test_a_repository_by_its_url_is_cloned_with_the_prd_that_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    make_project(project)
    monkeypatch.chdir(tmp_path)
    wish = RalphRunWish(prd=Path("prd.json"), directory=tmp_path)
    there = await _cloned(wish, str(project), tmp_path / "one")
    assert there.directory == tmp_path / "one" / "project"
    assert there.prd.read_text() == (project / "prd.json").read_text()
    (tmp_path / "mine.json").write_text("{}")
    mine = await _cloned(
        RalphRunWish(prd=tmp_path / "mine.json", directory=tmp_path), str(project), tmp_path / "two"
    )
    assert mine.prd == tmp_path / "two" / "project" / "mine.json"
    with pytest.raises(UsageError, match=r"there is no gone\.json"):
        await _cloned(
            RalphRunWish(prd=Path("gone.json"), directory=tmp_path), str(project), tmp_path / "3"
        )
    with pytest.raises(WorkspaceError):
        await _cloned(wish, str(tmp_path / "nowhere"), tmp_path / "four")
