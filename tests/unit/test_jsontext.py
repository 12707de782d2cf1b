"""A value's JSON text is that of its JSON object."""

import json
import pickle
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.codec import encode
from codetether_ray.core.jsontext import json_text, untagged_text
from codetether_ray.core.models import ToolSchema


class _Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaf:
    tag: ClassVar[str] = 'le"af'
    text: str = ""
    number: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    leaves: tuple[_Leaf, ...] = ()
    data: Any = None
    only: _Leaf | None = None
    names: frozenset[str] = frozenset()


_texts = st.text()
_numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner) | st.dictionaries(_texts, inner),
    max_leaves=8,
)
_leaves = st.builds(_Leaf, text=_texts, number=_numbers)
_nodes = st.builds(
    _Node,
    leaves=st.lists(_leaves, max_size=3).map(tuple),
    data=_json | st.sampled_from(_Colour),
    only=st.none() | _leaves,
    names=st.frozensets(_texts, max_size=2),
)


def _plain(value: object) -> str:
    return json.dumps(encode(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@given(_nodes | _leaves | _json)
def test_the_text_of_a_value_is_the_text_of_its_json_object(value: object) -> None:
    assert json_text(value) == _plain(value)


@given(_leaves)
def test_an_untagged_text_lacks_the_type_and_nothing_else(leaf: _Leaf) -> None:
    members = json.loads(json_text(leaf))
    assert members.pop("type") == _Leaf.tag
    assert json.loads(untagged_text(leaf)) == members


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {"a": float("nan")}])
def test_what_has_no_json_form_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        json_text(_Node(data=value))


def test_a_tools_text_is_made_once_and_is_no_part_of_its_value() -> None:
    tool = ToolSchema(name="é", description="d", parameters={"type": "object"})
    first = json_text(tool)
    assert first == _plain(tool)
    assert json_text((tool, tool)) == f"[{first},{first}]"
    assert tool.json_text is first
    fresh = ToolSchema(name="é", description="d", parameters={"type": "object"})
    assert tool == fresh == pickle.loads(pickle.dumps(tool))
    assert encode(tool) == encode(fresh)
