"""What is taken in can be told again: as JSON and on the wire, inside a task."""

from typing import Any

import pytest
from a2a.types import (
    InvalidParamsError,
    Message,
    Part,
    Role,
    SendMessageRequest,
    StreamResponse,
    Task,
    VersionNotSupportedError,
)
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import NULL_VALUE, Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.a2a.soundness import DEEPEST, demand_sound
from codetether_ray.a2a.versions import demand, stated, version_of


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.text(max_size=3)
    return st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5), _nested, max_leaves=12
)


def as_value(found: Any) -> Value:
    """A wire value, whatever JSON may say of it."""
    match found:
        case None:
            return Value(null_value=NULL_VALUE)
        case bool():
            return Value(bool_value=found)
        case float():
            return Value(number_value=found)
        case str():
            return Value(string_value=found.encode("utf-8", "replace").decode())
        case list():
            value = Value()
            value.list_value.values.extend(as_value(one) for one in found)
            return value
        case _:
            value = Value(struct_value=Struct())
            for key, one in found.items():
                value.struct_value.fields[key.encode("utf-8", "replace").decode()].CopyFrom(
                    as_value(one)
                )
            return value


def request_with(value: Value) -> SendMessageRequest:
    part = Part(data=value)
    return SendMessageRequest(message=Message(message_id="m", role=Role.ROLE_USER, parts=[part]))


def tell_again(request: SendMessageRequest) -> None:
    task = Task(id="t", context_id="c", history=[request.message])
    answer = StreamResponse(task=task)
    again = ParseDict(
        MessageToDict(StreamResponse.FromString(answer.SerializeToString())), StreamResponse()
    )
    assert again == answer


@given(VALUES)
def test_what_is_sound_is_told_again_as_it_was(found: Any) -> None:
    request = request_with(as_value(found))
    if any(word in repr(_numbers(found)) for word in ("inf", "nan")):
        with pytest.raises(InvalidParamsError, match="finite"):
            demand_sound(request)
        return
    demand_sound(request)
    tell_again(request)


def _numbers(found: Any) -> list[float]:
    match found:
        case float():
            return [found]
        case list():
            return [number for one in found for number in _numbers(one)]
        case dict():
            # of keys that are the same on the wire the last one counts
            told = {key.encode("utf-8", "replace"): one for key, one in found.items()}
            return [number for one in told.values() for number in _numbers(one)]
        case _:
            return []


@pytest.mark.parametrize("shape", ["lists", "objects"])
def test_the_deepest_that_is_sound_is_told_again(shape: str) -> None:
    found: Any = 1.0
    for _ in range(DEEPEST):
        found = [found] if shape == "lists" else {"a": found}
    request = request_with(as_value(found))
    demand_sound(request)
    tell_again(request)
    with pytest.raises(InvalidParamsError, match="nested deeper"):
        demand_sound(request_with(as_value([found])))


def test_a_value_that_says_nothing_is_not_sound() -> None:
    with pytest.raises(InvalidParamsError, match="says nothing"):
        demand_sound(request_with(Value()))


@pytest.mark.parametrize(
    ("said", "version"),
    [(None, "0.3"), ("", "0.3"), (" ", "0.3"), ("1.0", "1.0"), ("1.0.1", "1.0"), ("0.3.0", "0.3")],
)
def test_a_version_is_its_major_and_minor(said: str | None, version: str) -> None:
    assert version_of(said) == version
    demand(version, said)


@pytest.mark.parametrize("said", ["2.0", "99", "one", "1", "0.2"])
def test_versions_that_are_not_spoken_are_refused(said: str) -> None:
    with pytest.raises(VersionNotSupportedError):
        version_of(said)


def test_a_version_may_be_stated_in_the_query() -> None:
    assert stated({}, {"A2A-Version": "1.0"}) == "1.0"
    assert stated({"a2a-version": "0.3"}, {"A2A-Version": "1.0"}) == "0.3"
