"""The protocol's errors are told alike on every transport, and the page says how."""

import re
from pathlib import Path

import pytest
from a2a.types import InternalError, InvalidParamsError, TaskNotFoundError
from a2a.utils.errors import A2A_ERROR_MAPPING, JSON_RPC_ERROR_CODE_MAP, A2AError

from codetether_ray.a2a.error_table import (
    SPELLINGS,
    as_jsonrpc,
    as_old_jsonrpc,
    as_protocol_error,
    as_rest,
    details_of,
    message_of,
    spelling,
)
from codetether_ray.core.errors import ClusterError, UsageError

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "a2a-conformance.md"


@pytest.mark.parametrize("kind", sorted(SPELLINGS, key=lambda kind: kind.__name__))
def test_the_page_shows_each_error_as_it_is_told(kind: type[A2AError]) -> None:
    told = SPELLINGS[kind]
    row = f"| `{kind.__name__}` | {told.jsonrpc} | {told.grpc} | {told.http} | {told.reason} |"
    assert row in PAGE.read_text()


def test_every_error_that_the_sdk_knows_is_in_the_table_with_its_code() -> None:
    assert {kind: one.jsonrpc for kind, one in SPELLINGS.items()} == JSON_RPC_ERROR_CODE_MAP


def test_the_protocols_own_errors_have_the_statuses_of_the_specification() -> None:
    own = [kind for kind, one in SPELLINGS.items() if -32099 <= one.jsonrpc <= -32001]
    assert len(own) == 9
    for kind in own:
        told = A2A_ERROR_MAPPING[kind]
        assert (SPELLINGS[kind].http, SPELLINGS[kind].grpc) == (told.http_code, told.grpc_status)


def test_reasons_and_codes_tell_errors_apart() -> None:
    assert len({one.reason for one in SPELLINGS.values()}) == len(SPELLINGS)
    assert len({one.jsonrpc for one in SPELLINGS.values()}) == len(SPELLINGS)
    assert all(re.fullmatch(r"[A-Z_]+", one.reason) for one in SPELLINGS.values())


def test_an_unknown_error_of_the_protocol_is_told_as_internal() -> None:
    class OwnError(A2AError):
        message = "something of ours"

    assert spelling(OwnError()) is SPELLINGS[InternalError]
    assert as_rest(OwnError())[0] == 500


def test_nothing_of_an_unforeseen_exception_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told = as_protocol_error(RuntimeError("the secret of the house"))
    assert isinstance(told, InternalError)
    assert "secret" not in message_of(told)
    number = message_of(told).split()[-1]
    assert number in caplog.text
    assert "the secret of the house" in caplog.text  # the log has all of it


def test_an_error_of_ours_is_told_by_its_kind_alone() -> None:
    told = as_protocol_error(ClusterError("/home/somebody/secret"))
    assert "Cluster" in message_of(told)
    assert "somebody" not in message_of(told)
    assert isinstance(as_protocol_error(UsageError("the page token is none of ours")), A2AError)
    assert message_of(as_protocol_error(UsageError("no such token"))) == "no such token"


def test_wrong_fields_are_named_in_the_details() -> None:
    error = InvalidParamsError(data={"errors": [{"field": "message", "message": "is required"}]})
    assert details_of(error)[1]["fieldViolations"] == [
        {"field": "message", "description": "is required"}
    ]
    assert as_jsonrpc(error)["data"] == as_rest(error)[1]["error"]["details"]


def test_clients_of_0_3_are_told_no_code_that_they_do_not_know() -> None:
    for kind, told in SPELLINGS.items():
        assert as_old_jsonrpc(kind())["code"] == (told.jsonrpc if told.is_of_0_3 else -32603)


def test_a_message_can_be_told_on_any_wire_and_is_not_without_end() -> None:
    assert message_of(InternalError(message="a\ud800b")) == "a?b"
    assert len(message_of(InternalError(message="x" * 9_000))) == 2_000
    assert message_of(TaskNotFoundError(message="there is no task x")).startswith("Task not found")
