"""The tool `prd`, with the rules that Ralph reads PRDs with."""

import json
from typing import Any

import pytest

from codetether_ray.bootstrap.ralph.prd_desk import RepositoryPrds
from codetether_ray.core.errors import ToolError
from codetether_ray.ralph.prd_text import read_prd

_FIRST = {"id": "US-001", "title": "One", "description": "d", "acceptance_criteria": ["x"]}
_SECOND = {**_FIRST, "id": "US-002", "title": "Two", "depends_on": ["US-001"], "passes": True}
_PRD = {"project": "api", "feature": "Rate limits", "stories": [_FIRST, _SECOND]}


@pytest.fixture
def office(desk: Any) -> Any:
    desk.write("Cargo.toml", "[package]\n")
    return desk.with_(prds=RepositoryPrds())


async def refusal(office: Any, **arguments: Any) -> str:
    with pytest.raises(ToolError) as refused:
        await office.call("prd", **arguments)
    return str(refused.value)


async def test_analyze_asks_what_is_to_be_found_out(office: Any) -> None:
    said = await office.call("prd", action="analyze", task_description="limit\nclients")
    assert 'a PRD for "limit clients"' in said
    assert "acceptance_criteria" in said


async def test_generate_gives_the_whole_prd_with_gates_that_fit_and_nothing_passed(
    office: Any,
) -> None:
    said = await office.call("prd", action="generate", **_PRD)
    text, _, verdict = said.rpartition("}\n")
    prd = read_prd(f"{text}}}\n".encode()).prd
    assert [(s.id, s.depends_on, s.passes) for s in prd.stories] == [
        ("US-001", (), False),
        ("US-002", ("US-001",), False),
    ]
    assert dict(prd.quality_checks.commands)["test"] == "cargo test"
    assert verdict == "valid: 2 stories, 0 passed, in waves of 1, 1"
    assert [p.name for p in office.root.iterdir()] == ["Cargo.toml"]


async def test_save_writes_what_generate_shows_and_gives_the_same_bytes_again(office: Any) -> None:
    gates = {"test": "make test"}
    said = await office.call(
        "prd", action="save", prd_path="a/p.json", quality_checks=gates, **_PRD
    )
    assert said.startswith("saved a/p.json; valid: 2 stories")
    first = office.read("a/p.json")
    assert json.loads(first)["quality_checks"] == gates
    await office.call("prd", action="save", prd_path="a/p.json", quality_checks=gates, **_PRD)
    assert office.read("a/p.json") == first
    await office.call("prd", action="save", **_PRD)
    assert office.read("prd.json")


async def test_what_is_not_sound_is_not_saved(office: Any) -> None:
    circle = [{**_FIRST, "depends_on": ["US-002"]}, _SECOND]
    problem = "$.user_stories[0].depends_on: the dependencies form a cycle: US-001 -> US-002 -> "
    for action in ("save", "generate"):
        said = await refusal(office, action=action, **{**_PRD, "stories": circle})
        assert said.startswith(f"not valid:\n- {problem}")
    assert not (office.root / "prd.json").exists()
    said = await refusal(office, action="save", **{**_PRD, "stories": [{"id": "a"}]})
    assert said == "not valid:\n- $.user_stories[0].title: it is empty"
    assert "needs stories" in await refusal(office, action="save", project="p", feature="f")
    assert await refusal(office, action="save", prd_path="../x", **_PRD)


async def test_validate_judges_stories_a_file_or_a_text(office: Any) -> None:
    office.write("p.json", json.dumps({"project": "p", "feature": 3}))
    assert await office.call("prd", action="validate", prd_path="p.json") == (
        "not valid:\n- $.feature: 3 is not a string"
    )
    assert (await office.call("prd", action="validate", prd_json="[")).startswith("not valid:\n- $")
    said = await office.call("prd", action="validate", **_PRD)
    assert said.startswith("valid: 2 stories")


async def test_a_file_that_is_replaced_is_told_with_the_progress_that_is_lost(office: Any) -> None:
    await office.call("prd", action="save", **_PRD)
    done = office.read("prd.json").replace('"passes": false', '"passes": true')
    office.write("prd.json", done)
    said = await office.call("prd", action="save", **_PRD)
    assert said.endswith("\n2 more had passed in the file that was there")


async def test_a_whole_prd_is_saved_as_it_is(office: Any) -> None:
    text = json.dumps(
        {"project": "p", "feature": "f", "user_stories": [{**_FIRST, "passes": True}]}
    )
    await office.call("prd", action="save", prd_json=text)
    assert office.read("prd.json") == text
