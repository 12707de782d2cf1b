"""One run's admission and the shared scheduler's keep the same promises."""

import pytest

from codetether_ray.local.admission import LocalAdmission
from codetether_ray.local.desk import SchedulingDesk
from codetether_ray.local.far_admission import FarAdmission
from codetether_ray.ports.admission import Party
from codetether_ray.testing.clock import FakeClock
from tests.contracts.admission import AdmissionContract, Ground, Open


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class TestLocalAdmission(AdmissionContract):
    @pytest.fixture
    def open_admission(self, clock: FakeClock) -> Open:
        def opened(
            ground: Ground, max_live: int | None = None, max_memory_bytes: int | None = None
        ) -> LocalAdmission:
            return LocalAdmission(
                ground.capacity, clock, max_live=max_live, max_memory_bytes=max_memory_bytes
            )

        return opened


class TestFarAdmission(AdmissionContract):
    @pytest.fixture
    def open_admission(self, clock: FakeClock) -> Open:
        def opened(
            ground: Ground, max_live: int | None = None, max_memory_bytes: int | None = None
        ) -> FarAdmission:
            party = Party(run_id="swm_1", max_live=max_live, max_memory_bytes=max_memory_bytes)
            return FarAdmission(SchedulingDesk(ground.capacity, clock), party, clock)

        return opened
