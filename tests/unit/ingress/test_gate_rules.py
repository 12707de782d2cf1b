"""What the gate decides without a network: failures, proxies, permissions, what is noted."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.errors import ClusterError, ConfigError
from codetether_ray.core.principals import Principal
from codetether_ray.ingress import permissions, request_log
from codetether_ray.ingress.gate_failures import Failures, network_of
from codetether_ray.ingress.gate_grpc import peer_address
from codetether_ray.ingress.gate_proxies import Proxies
from codetether_ray.ingress.request_log import BatchedLog, Row

ANN = Principal(user_id="ann", roles=("editor",))


class Ticks:
    """A clock that is moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


# -- failures -------------------------------------------------------------------------------------


def test_an_address_may_fail_a_while_and_is_then_told_how_long_to_wait() -> None:
    ticks = Ticks()
    failures = Failures(ticks, burst=3, every_s=10.0)
    assert [failures.blame("1.2.3.4") for _ in range(5)] == [0, 0, 0, 10, 10]
    assert failures.blame("1.2.3.5") == 0
    ticks.now += 10.0
    assert [failures.blame("1.2.3.4") for _ in range(2)] == [0, 10]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 20)), max_size=60))
def test_an_address_is_never_refused_that_failed_less_than_it_may(
    events: list[tuple[str, float]],
) -> None:
    ticks, counts = Ticks(), dict.fromkeys("abc", 0)
    failures = Failures(ticks, burst=5, every_s=1.0)
    for address, pause in events:
        ticks.now += pause
        counts[address] += 1
        wait = failures.blame(address)
        assert 0 <= wait <= 5
        if counts[address] <= 5:
            assert wait == 0


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    failures = Failures(Ticks(), most=10)
    for n in range(1000):
        failures.blame(f"10.0.{n // 256}.{n % 256}")
    assert len(failures) == 10


def test_all_addresses_of_one_network_of_ipv6_are_one() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:1.2.3.4") == "1.2.3.4"
    assert network_of("not an address" * 100)


# -- whose request it is --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trusted", "peer", "header", "client"),
    [
        ((), "10.0.0.1", ["6.6.6.6"], "10.0.0.1"),
        (("10.0.0.0/8",), "9.9.9.9", ["6.6.6.6"], "9.9.9.9"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6"], "6.6.6.6"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6, 7.7.7.7"], "7.7.7.7"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6", "7.7.7.7, 10.0.0.2"], "7.7.7.7"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6, nonsense"], "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", [], "10.0.0.1"),
        (("::1",), "::1", ["2001:db8::7"], "2001:db8::7"),
    ],
)
def test_only_believed_proxies_say_whose_request_it_is(
    trusted: tuple[str, ...], peer: str, header: list[str], client: str
) -> None:
    assert Proxies(trusted).client(peer, header) == client


def test_a_proxy_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="trusted proxy"):
        Proxies(("proxy.example",))


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:1.2.3.4:555", "1.2.3.4"),
        ("ipv6:[::1]:555", "::1"),
        ("ipv6:%5B2001:db8::7%5D:555", "2001:db8::7"),
        ("unix:/run/x", "unix:/run/x"),
    ],
)
def test_the_address_of_a_grpc_peer_is_read(peer: str, address: str) -> None:
    assert peer_address(peer) == address


# -- what is needed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("GET", "/v1/runs", "runs:read"),
        ("HEAD", "/v1/runs/abc/events", "runs:read"),
        ("POST", "/v1/runs/abc/cancel", "runs:cancel"),
        ("POST", "/v1/runs/abc", None),
        ("GET", "/v1/runsx", None),
        ("GET", "/v1/audit/events", "audit:read"),
        ("POST", "/api/session", "sessions:write"),
        ("POST", "/api/session/s1/prompt", "agent:execute"),
        ("GET", "/api/session/s1", "sessions:read"),
        ("POST", "/", permissions.BY_METHOD),
        ("GET", "/nowhere", None),
        ("OPTIONS", "/v1/runs", None),
        ("GET", "/v1/runs/" + "x" * 4000, None),
        ("get", "/v1/runs", None),
    ],
)
def test_a_request_needs_what_the_table_says(
    method: str, path: str, permission: str | None
) -> None:
    assert permissions.of_http(method, path) == permission


@given(st.text(max_size=60).map(lambda text: "/" + text), st.sampled_from(["GET", "POST", "X"]))
def test_any_path_has_one_answer_and_its_methods_agree_with_it(path: str, method: str) -> None:
    assert (permissions.of_http(method, path) is None) is (
        method not in permissions.methods_of(path)
    )


@pytest.mark.parametrize("service", ["lf.a2a.v1.A2AService", "a2a.v1.A2AService"])
def test_each_rpc_of_a2a_needs_the_same_on_every_transport(service: str) -> None:
    from a2a.compat.v0_3 import a2a_v0_3_pb2
    from a2a.types import a2a_pb2

    module = a2a_pb2 if service.startswith("lf") else a2a_v0_3_pb2
    methods = module.DESCRIPTOR.services_by_name["A2AService"].methods_by_name
    assert len(methods) >= 10
    for name in methods:
        assert permissions.of_grpc(f"/{service}/{name}") is not None
        assert permissions.of_grpc(f"/{service}/{name}") == permissions.of_rpc(name)


def test_a_method_of_json_rpc_needs_the_same_by_both_its_names() -> None:
    for old, new in [
        ("message/send", "SendMessage"),
        ("message/stream", "SendStreamingMessage"),
        ("tasks/get", "GetTask"),
        ("tasks/cancel", "CancelTask"),
        ("tasks/resubscribe", "SubscribeToTask"),
        ("tasks/pushNotificationConfig/set", "CreateTaskPushNotificationConfig"),
        ("tasks/pushNotificationConfig/delete", "DeleteTaskPushNotificationConfig"),
    ]:
        assert permissions.of_rpc(old) == permissions.of_rpc(new)
    assert permissions.of_rpc("tasks/unheard") is None


# -- what is noted --------------------------------------------------------------------------------


class Book:
    """Keeps what is written; refuses as often as told."""

    def __init__(self, refusals: int = 0) -> None:
        self.rows: list[Row] = []
        self.batches = 0
        self._refusals = refusals

    async def write(self, rows: list[Row]) -> None:
        if self._refusals:
            self._refusals -= 1
            raise ClusterError("the head does not answer")
        self.batches += 1
        self.rows += rows


async def test_requests_are_written_together_and_none_is_waited_for() -> None:
    book = Book()
    log = BatchedLog(book.write)
    for n in range(50):
        log.passed(ANN, "http", f"GET /v1/runs/{n}", "200", 3)
    assert book.rows == []
    await log.close()
    assert book.batches == 1
    assert book.rows[7] == (
        "api", "http:GET", "/v1/runs/7", "user:ann", "success", 3, {"status": "200"},
    )  # fmt: skip


async def test_an_event_that_was_taken_has_a_row_by_its_type_which_is_cut() -> None:
    book = Book()
    log = BatchedLog(book.write)
    log.event(ANN, "task.created", "k-1")
    log.event(ANN, "x" * 500, "")
    await log.close()
    assert book.rows[0] == (
        "api", "cloudevents:task.created", "k-1", "user:ann", "success", 0, {},
    )  # fmt: skip
    assert len(book.rows[1][1]) == 300


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("200", "success"),
        ("302", "success"),
        ("OK", "success"),
        ("404", "failure"),
        ("500", "failure"),
        ("torn", "failure"),
        ("CANCELLED", "failure"),
        ("401", "denied"),
        ("PERMISSION_DENIED", "denied"),
    ],
)
async def test_how_a_request_ended_is_said(status: str, outcome: str) -> None:
    book = Book()
    log = BatchedLog(book.write)
    log.passed(ANN, "grpc", "/a.B/C", status, 0)
    await log.close()
    assert book.rows[0][4] == outcome


async def test_a_flood_of_refusals_is_summed_up() -> None:
    book = Book()
    log = BatchedLog(book.write)
    for n in range(500):
        log.refused(None, "http", f"GET /secret{n}", "401", "6.6.6.6")
    log.refused(ANN, "http", "GET /v1/audit/events", "403", "7.7.7.7")
    await log.close()
    assert len(book.rows) == 5 + 1 + 1
    assert book.rows[-1][6] == {"status": "401", "address": "6.6.6.6", "count": 495}
    assert {row[3] for row in book.rows} == {"anonymous", "user:ann"}


async def test_floods_from_many_addresses_stay_bounded() -> None:
    book = Book()
    log = BatchedLog(book.write)
    for n in range(3000):
        for _ in range(2):
            log.refused(None, "http", "GET /", "401", f"10.1.{n // 256}.{n % 256}")
    await log.close()
    noted = sum(int(row[6].get("count", 1)) for row in book.rows)  # type: ignore[arg-type]
    assert noted == 6000
    assert len(book.rows) <= 2 * 1000 + 5 + 1


async def test_what_a_disk_refuses_is_written_later_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_log, "_LINGER_S", 0.0)
    book = Book(refusals=3)
    log = BatchedLog(book.write)
    for n in range(3):
        log.passed(ANN, "http", f"GET /{n}", "200", 0)
    while not book.rows:
        await asyncio.sleep(0)
    await log.close()
    assert [row[2] for row in book.rows] == ["/0", "/1", "/2"]


async def test_more_than_can_be_kept_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "_MOST_ROWS", 10)
    book = Book()
    log = BatchedLog(book.write)
    for _ in range(25):
        log.passed(ANN, "http", "GET /", "200", 0)
    await log.close()
    assert len(book.rows) == 11
    assert book.rows[-1][1] == "requests.unwritten"
    assert book.rows[-1][6] == {"count": 15}


async def test_a_path_of_any_length_and_letters_can_be_noted() -> None:
    book = Book()
    log = BatchedLog(book.write)
    log.passed(ANN, "http", "GET /" + "\udcff" * 5000, "404", 0)
    await log.close()
    book.rows[0][2].encode()
    assert len(book.rows[0][2]) <= 300
