import pytest

from codetether_ray.agent.parts import AgentLinks
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.local.admission import LocalAdmission
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.host import LocalHost
from codetether_ray.local.ledger import LocalLedger
from codetether_ray.local.publisher import LocalPublisher
from codetether_ray.local.runtime import HostedRuntime
from codetether_ray.testing.fakes import MemoryJournal
from tests.contracts.runtime import RUN, Open, RuntimeContract, Terms, wire


async def open_local(terms: Terms) -> HostedRuntime:
    clock, journal = SystemClock(), MemoryJournal()
    ledger = LocalLedger(terms.budget, clock)

    def publisher(spec: AgentSpec) -> LocalPublisher:
        return LocalPublisher(journal, None, Correlation(run_id=RUN), spec.path, clock)

    def links(spec: AgentSpec) -> AgentLinks:
        return AgentLinks(publisher=publisher(spec), ledger=ledger, children=runtime)

    host = LocalHost(links, wire)
    admission = LocalAdmission(host.capacity, clock, max_live=terms.max_live)
    runtime = HostedRuntime(host, admission, ledger, publisher, clock)
    return runtime


class TestLocalRuntime(RuntimeContract):
    @pytest.fixture
    def open_runtime(self) -> Open:
        return open_local
