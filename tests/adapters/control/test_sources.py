"""What runs work on: bundles that came, URLs, directories on the head; nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.bootstrap.control import bundles
from codetether_ray.bootstrap.control.bundles import UnknownBundleError
from codetether_ray.bootstrap.control.orders import Leave, Source
from codetether_ray.bootstrap.control.sources import laid_out
from codetether_ray.bootstrap.truth.place import LocalHome
from codetether_ray.core.errors import UsageError, WorkspaceError
from codetether_ray.core.ids import new_run_id
from tests.adapters.control.conftest import bundled
from tests.adapters.control.scene import Plane
from tests.e2e.swarm_scene import git

ALICE = Leave(owner="alice")


@pytest.fixture
def home(tmp_path: Path) -> LocalHome:
    return LocalHome(data_dir=tmp_path / "data")


async def came(home: LocalHome, data: bytes, owner: str = "alice") -> bundles.Bundle:
    id = bundles.begin(home, owner)
    half = len(data) // 2
    bundles.put(home, owner, id, 0, data[:half])
    bundles.put(home, owner, id, half, data[half:])
    return await bundles.end(home, owner, id)


async def laid(home: LocalHome, source: Source, leave: Leave = ALICE) -> Path:
    return await laid_out(home, new_run_id("swarm"), source, leave)


async def test_a_bundle_is_laid_out_on_its_branch_without_what_was_not_committed(
    home: LocalHome, project: Path
) -> None:
    git(project, "branch", "other")
    found = await came(home, bundled(project))
    assert found.refs["refs/heads/main"] == git(project, "rev-parse", "main")
    place = await laid(home, Source(bundle=found.id))
    assert (place / "readme.md").read_text() == "# hello\n"
    assert not (place / "untracked.txt").exists()
    assert git(place, "remote") == ""
    assert git(place, "rev-parse", "HEAD") == git(project, "rev-parse", "main")
    other = await laid(home, Source(bundle=found.id, ref="other"))
    assert git(other, "branch", "--show-current") == "other"
    exact = await laid(home, Source(bundle=found.id, ref=git(project, "rev-parse", "main")))
    assert (exact / "tracked.txt").exists()
    with pytest.raises(UsageError, match="no branch, tag or commit 'nope'"):
        await laid(home, Source(bundle=found.id, ref="nope"))


async def test_a_bundle_of_one_branch_needs_no_head(home: LocalHome, project: Path) -> None:
    path = project.with_suffix(".one")
    git(project, "bundle", "create", "--quiet", str(path), "main")
    place = await laid(home, Source(bundle=(await came(home, path.read_bytes())).id))
    assert (place / "readme.md").exists()


async def test_nobody_elses_bundle_is_used(home: LocalHome, project: Path) -> None:
    found = await came(home, bundled(project))
    with pytest.raises(UnknownBundleError):
        await laid(home, Source(bundle=found.id), replace(ALICE, owner="bob"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no git bundle"),
        (b"PACK" * 100, "no git bundle"),
        (b"# v2 git bundle\n\nrubbish", "no git bundle"),
        (
            b"# v2 git bundle\n-" + b"a" * 40 + b" x\n" + b"b" * 40 + b" refs/heads/m\n\nPACK",
            "needs",
        ),
    ],
    ids=["empty", "pack", "rubbish", "thin"],
)
async def test_what_is_no_whole_bundle_is_refused_and_not_kept(
    home: LocalHome, data: bytes, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        await laid(home, Source(bundle=(await came(home, data)).id))


def test_pieces_have_to_fit_and_ids_to_be_ids(home: LocalHome) -> None:
    id = bundles.begin(home, "alice")
    bundles.put(home, "alice", id, 0, b"abc")
    with pytest.raises(UsageError, match="does not fit"):
        bundles.put(home, "alice", id, 7, b"x")
    with pytest.raises(UsageError, match="no bundle"):
        bundles.put(home, "bob", id, 3, b"x")
    for bad in ("../x", "", f"{id}/..", id.upper() + "0"):
        with pytest.raises(UsageError, match="no id of a bundle"):
            bundles.bundle_path(home, "alice", bad)
    assert bundles.drop(home, "alice", id)
    assert not bundles.drop(home, "alice", id)


def test_a_sender_has_so_many_and_no_more(home: LocalHome) -> None:
    for _ in range(20):
        bundles.begin(home, "alice")
    with pytest.raises(UsageError, match="20 bundles"):
        bundles.begin(home, "alice")
    bundles.begin(home, "bob")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc", "no URL"),
        ("/etc", "no URL"),
        ("ext::sh -c true", "characters"),
        ("ext::true", "no URL"),
        ("https://u:p@example.com/x.git", "password"),
        ("https://", "no URL"),
        ("--upload-pack=x", "no URL"),
        ("https://exa\0mple.com/x", "characters"),
    ],
)
async def test_a_url_is_one_of_git_on_another_machine(
    home: LocalHome, url: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        await laid(home, Source(url=url))


async def test_a_clone_that_fails_leaves_nothing(home: LocalHome) -> None:
    with pytest.raises(WorkspaceError):
        await laid(home, Source(url="http://127.0.0.1:1/x.git"))
    assert not list((home.data_dir / "submitted").iterdir())


async def test_a_directory_is_the_ingress_own_or_below_but_for_administrators(
    home: LocalHome, project: Path, tmp_path: Path
) -> None:
    below = project / "ignored"
    mine = replace(ALICE, roots=(str(project),), default=str(project))
    assert await laid(home, Source(), mine) == project
    assert await laid(home, Source(directory=str(below)), mine) == below
    for outside in (str(tmp_path), str(project / ".."), "/etc"):
        with pytest.raises(UsageError, match="not what this ingress works on"):
            await laid(home, Source(directory=outside), mine)
    (project / "way-out").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="not what this ingress works on"):
        await laid(home, Source(directory=str(project / "way-out")), mine)
    anywhere = replace(mine, is_everywhere=True)
    assert await laid(home, Source(directory=str(tmp_path)), anywhere) == tmp_path
    for bad in ("relative", "/no\0where", "/nowhere/at/all"):
        with pytest.raises(UsageError):
            await laid(home, Source(directory=bad), anywhere)
    with pytest.raises(UsageError, match="name what to work on"):
        await laid(home, Source(), ALICE)
    with pytest.raises(UsageError, match="one source"):
        await laid(home, Source(directory="/x", url="https://x/y"), anywhere)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({"model": "anthropic/some-model"}, "key"),
        ({"model": "local/m", "budget_usd": 1.0}, "price"),
    ],
)
async def test_what_its_model_lacks_is_told_in_a_sentence_and_is_no_fault_of_the_server(
    plane: Plane, bundle: bytes, order: dict[str, Any], said: str
) -> None:
    _, came = await plane.ask("POST", "/v1/bundles", data=bundle)
    wish = {"task": "x", "repository": {"bundle": came["id"]}, **order}
    status, problem = await plane.ask("POST", "/v1/swarms", json=wish)
    assert (status, said in problem["detail"]) == (409, True), problem
