"""What each level of `--auto-approve` lets agents do: the table of the documentation."""

import pytest

from codetether_ray.ports.tool import Effect
from codetether_ray.tools.catalog import ALL_TOOLS, load
from codetether_ray.worker.approval import LEVELS, Level, capabilities, leave_of


def effects(names: tuple[str, ...]) -> set[Effect]:
    return {load(name).effect for name in names}


def test_all_is_every_tool_in_the_codebase_itself() -> None:
    leave = leave_of("all")
    assert (leave.tools, leave.needs_copy, leave.may_swarm) == (None, False, True)


def test_safe_edits_files_in_a_copy_and_runs_nothing() -> None:
    leave = leave_of("safe")
    assert leave.tools is not None
    assert effects(leave.tools) == {Effect.READ, Effect.STATE, Effect.WRITE}
    assert leave.needs_copy
    assert not {"bash", "batch", "task", "swarm", "ralph", "prd"} & set(leave.tools)


def test_safe_without_a_copy_writes_no_file() -> None:
    leave = leave_of("safe")
    assert leave.tools_without_copy is not None
    assert effects(leave.tools_without_copy) == {Effect.READ, Effect.STATE}


def test_none_reads_alone() -> None:
    leave = leave_of("none")
    assert leave.tools is not None
    assert leave.tools == leave.tools_without_copy
    assert effects(leave.tools) == {Effect.READ}


def test_the_levels_differ_and_each_allows_what_the_stricter_one_does() -> None:
    tools = [set(leave_of(level).tools or ALL_TOOLS) for level in LEVELS]
    assert tools[0] > tools[1] > tools[2]


@pytest.mark.parametrize("level", LEVELS)
def test_only_who_may_swarm_says_that_it_can(level: Level) -> None:
    assert ("swarm" in capabilities(level)) == leave_of(level).may_swarm == (level == "all")
