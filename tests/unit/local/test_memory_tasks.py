from typing import Any

import pytest
from hypothesis import given

from codetether_ray.local.memory_tasks import MemoryTasks
from tests.contracts.task_model import STEPS, agree
from tests.contracts.tasks import TaskStoreContract


class TestMemoryTasks(TaskStoreContract):
    @pytest.fixture
    def store(self) -> MemoryTasks:
        return MemoryTasks()


@given(STEPS)
async def test_it_does_what_the_port_says_in_any_order(steps: list[tuple[Any, ...]]) -> None:
    await agree(MemoryTasks(), steps)
