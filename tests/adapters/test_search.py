"""Searches by a walk in Python, and by `rg` where it is installed; where it is not, it is said."""

import re
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.tools.pattern import literals, longest_safe_line
from tests.contracts.search import SearchContract


class TestSearchInPython(SearchContract):
    @pytest.fixture
    def program(self) -> str | None:
        return None


class TestSearchByRipgrep(SearchContract):
    @pytest.fixture
    def program(self) -> str | None:
        found = shutil.which("rg")
        if found is None:
            pytest.skip("rg is not installed: only the search in Python was tested")
        return found


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("needle", ("needle",)),
        (r"def\s+total\(", ("total(",)),
        ("foo|bar", ("bar", "foo")),
        ("(?:foo|b)", ()),
        ("(ab)+c", ("ab",)),
        ("(ab)*cd", ("cd",)),
        ("(?i:abc)de", ("de",)),
        (r"\w+", ()),
        ("é+xy", ("xy",)),
    ],
)
def test_a_pattern_tells_which_texts_a_match_must_hold(
    pattern: str, expected: tuple[str, ...]
) -> None:
    assert literals(re.compile(pattern)) == expected


_atoms = st.sampled_from(["a", "bc", "d", r"\w", ".", "[ab]", "^", "$", r"\b", "(?=a)"])
_regexes = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda p: f"(?:{p[0]}|{p[1]})"),
        inner.map(lambda p: f"({p})?"),
        inner.map(lambda p: f"(?:{p}){{1,2}}"),
        inner.map(lambda p: f"(?i:{p})"),
    ),
    max_leaves=6,
)


@given(_regexes, st.text("aAbBcCdD ", max_size=10), st.booleans())
def test_no_match_is_without_such_a_text(pattern: str, line: str, folds: bool) -> None:
    compiled = re.compile(pattern, re.IGNORECASE if folds else 0)
    needed = literals(compiled)
    if compiled.search(line) and needed:
        seen = line.lower() if folds else line
        assert any((n.lower() if folds else n) in seen for n in needed)


@pytest.mark.parametrize(
    ("pattern", "safe"),
    [
        ("abc", 5000),
        ("a.*b", 5000),
        (".*a.*b", 1000),
        (r"(\w+\.)+", 0),
        ("(a|b*)*", 0),
        (".*" * 4, 300),
    ],
)
def test_a_pattern_tells_how_long_a_line_it_may_meet_in_a_thread(pattern: str, safe: int) -> None:
    assert longest_safe_line(re.compile(pattern)) == safe
