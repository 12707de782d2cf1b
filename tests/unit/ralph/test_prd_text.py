import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codetether_ray.core.errors import PrdError
from codetether_ray.ralph.prd import Prd, QualityChecks, Story
from codetether_ray.ralph.prd_text import MOST_BYTES, read_prd, write_prd

PRDS = sorted((Path(__file__).parents[2] / "data" / "prds").glob("*.json"))


def prd_json(*stories: dict[str, Any], **root: Any) -> dict[str, Any]:
    filled = [{"title": "t", "description": "d", **story} for story in stories]
    return {"project": "p", "feature": "f", "user_stories": filled, **root}


def problems(data: Any) -> tuple[str, ...]:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    with pytest.raises(PrdError) as refused:
        read_prd(text)
    return refused.value.problems


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PRDS, ids=lambda path: path.stem[:16])
def test_each_prd_of_the_reference_is_read_and_keeps_its_bytes(path: Path) -> None:
    text = read_prd(path.read_bytes())
    assert text.bytes == path.read_bytes()
    data = json.loads(path.read_bytes())
    assert [story.id for story in text.prd.stories] == [s["id"] for s in data["user_stories"]]
    assert dict(text.prd.quality_checks.commands) == data["quality_checks"]


def test_there_are_nine_of_them() -> None:
    assert len(PRDS) == 9


def test_what_is_left_out_has_the_defaults_of_the_reference() -> None:
    prd = read_prd(json.dumps(prd_json({"id": "a"})).encode()).prd
    assert prd.stories == (Story(id="a", title="t", description="d", priority=1, complexity=3),)
    assert (prd.version, prd.branch_name, prd.branch) == ("1.0", "", "ralph/f")
    assert prd.quality_checks == QualityChecks()


def test_dependencies_may_be_called_so() -> None:
    stories = ({"id": "a"}, {"id": "b", "dependencies": ["a"]})
    prd = read_prd(json.dumps(prd_json(*stories)).encode()).prd
    assert prd.stories[1].depends_on == ("a",)
    both = problems(prd_json({"id": "a", "dependencies": [], "depends_on": []}))
    assert both == (
        "$.user_stories[0].dependencies: 'depends_on' is there as well; keep one of them",
    )


def test_unknown_keys_are_taken_and_an_unknown_gate_is_told() -> None:
    data = prd_json({"id": "a", "x": 1}, id="7", quality_checks={"test": "true", "e2e": "x"})
    text = read_prd(json.dumps(data).encode())
    assert text.prd.quality_checks.commands == (("test", "true"),)
    assert any(note.startswith("$.quality_checks.e2e: there is no such") for note in text.warnings)


@pytest.mark.parametrize(
    ("story", "problem"),
    [
        ({"priority": 300}, "$.user_stories[1].priority: 300 is not in 0..255"),
        ({"priority": -1}, "$.user_stories[1].priority: -1 is not in 0..255"),
        ({"complexity": 2.5}, "$.user_stories[1].complexity: 2.5 is not a whole number"),
        ({"priority": True}, "$.user_stories[1].priority: true is not a whole number"),
        ({"passes": 1}, "$.user_stories[1].passes: 1 is not true or false"),
        ({"title": ["x"]}, "$.user_stories[1].title: a list is not a string"),
        ({"title": " "}, "$.user_stories[1].title: it is empty"),
        ({"id": ""}, "$.user_stories[1].id: it is empty"),
        ({"id": "a"}, '$.user_stories[1].id: "a" is the id of $.user_stories[0] already'),
        ({"depends_on": "a"}, '$.user_stories[1].depends_on: "a" is not a list of strings'),
        ({"depends_on": ["a", 3]}, "$.user_stories[1].depends_on[1]: 3 is not a string"),
        ({"depends_on": ["zz"]}, '$.user_stories[1].depends_on[0]: there is no story "zz"'),
        ({"depends_on": ["b"]}, '$.user_stories[1].depends_on[0]: "b" depends on itself'),
    ],
)
def test_what_is_wrong_with_a_story_is_one_sentence_with_its_path(
    story: dict[str, Any], problem: str
) -> None:
    assert problems(prd_json({"id": "a"}, {"id": "b", **story})) == (problem,)


def test_a_cycle_is_shown() -> None:
    stories = (
        {"id": "a", "depends_on": ["c"]},
        {"id": "b", "depends_on": ["a"]},
        {"id": "c", "depends_on": ["b"]},
        {"id": "d", "depends_on": ["c"]},
    )
    assert problems(prd_json(*stories)) == (
        "$.user_stories[0].depends_on: the dependencies form a cycle: a -> c -> b -> a",
    )


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "$: the file is empty"),
        (b"\xef\xbb\xbf \n", "$: the file is empty"),
        (b"[]", "$: it is not an object"),
        (b'"\xff"', "$: byte 1 is not UTF-8"),
        (b"{}", "$.project: it is missing"),
        (b'{"project": "p", "feature": NaN}', "$.feature: NaN is no JSON"),
        (b'{"a": 1, "a": 2}', "$.a: the key is there twice"),
        (b'{"a": [{"b c": {"d": 1, "d": 2}}]}', '$.a[0]["b c"].d: the key is there twice'),
        (b"{} {}", "$: it is not valid JSON: there is more text behind the value at line 1"),
        (b'{"a": 01}', "$: it is not valid JSON: a ',' is missing at line 1, column 8"),
        (b'{"a": 1,}', "$: it is not valid JSON: a key in double quotes is missing"),
        (b'{"a":\n [1, 2', "$.a: the file ends in the middle of it (line 2, column 7)"),
        (b'{"a": "x\n"}', "$.a: it is not valid JSON: invalid control character at at line 1"),
        (b"[" * 100_000, "$: it is nested too deeply"),
        (b'{"a": ' * 50_000, "$: it is nested too deeply"),
        (b'{"a": ' + b"1" * 5_000 + b"}", "$.a: a number has too many digits"),
        (b" " * (MOST_BYTES + 1), "$: 10.0 MB is too large for a PRD; at most 10 MB"),
    ],
    ids=range(17),
)
def test_what_is_no_prd_is_told_in_one_sentence(data: bytes, problem: str) -> None:
    assert problems(data)[0].startswith(problem)


@pytest.mark.parametrize("path", PRDS[:2], ids=lambda path: path.stem[:16])
@settings(deadline=None)
@given(share=st.floats(0, 0.999))
def test_a_truncated_prd_is_refused_wherever_it_is_cut(path: Path, share: float) -> None:
    data = path.read_bytes().rstrip()
    (problem, *more) = problems(data[: int(len(data) * share)])
    assert problem.startswith("$")
    assert not more


def test_all_problems_are_collected_and_the_first_is_the_sentence() -> None:
    data = prd_json({"id": "a", "priority": 999, "passes": None}, feature=3)
    with pytest.raises(PrdError) as refused:
        read_prd(json.dumps(data).encode())
    assert str(refused.value) == "$.feature: 3 is not a string (and 2 more problems)"


@pytest.mark.parametrize("name", ["-x", "a b", "a..b", "/a", "a/", "a.lock", "@", "a~1", "a\\b"])
def test_a_branch_that_git_would_refuse_is_refused(name: str) -> None:
    (problem,) = problems(prd_json({"id": "a"}, branch_name=name))
    assert problem.startswith("$.branch_name: git allows no branch named")


def test_what_is_unwise_is_a_warning() -> None:
    story = {"id": "a", "description": "", "priority": 0, "complexity": 9}
    warnings = read_prd(json.dumps(prd_json(story)).encode()).warnings
    assert [warning.partition(":")[0] for warning in warnings] == [
        "$.user_stories[0].description",
        "$.user_stories[0].acceptance_criteria",
        "$.user_stories[0].priority",
        "$.user_stories[0].complexity",
        "$.quality_checks",
        "$.branch_name",
    ]


def test_half_a_surrogate_pair_is_no_reason_to_fail_later() -> None:
    text = read_prd(json.dumps(prd_json({"id": "a", "title": "x\ud800"})).encode())
    assert text.prd.stories[0].title.encode()
    assert b"\\ud800" in text.passed(["a"]).bytes


def test_a_prd_that_has_no_file_is_written_whole() -> None:
    prd = Prd(project="p", feature="F g", stories=(Story(id="a", title="ü", depends_on=()),))
    text = write_prd(prd)
    assert text.prd == prd
    assert json.loads(text.bytes)["user_stories"][0]["title"] == "ü"


def test_ids_that_differ_in_case_alone_have_names_of_their_own() -> None:
    stories = ({"id": "US-1"}, {"id": "us 1"}, {"id": "us-1-2"})
    slugs = read_prd(json.dumps(prd_json(*stories)).encode()).prd.slugs
    assert len(set(slugs.values())) == 3


# -- changing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PRDS, ids=lambda path: path.stem[:16])
def test_a_passed_story_changes_its_own_bytes_and_the_date_alone(path: Path) -> None:
    before = path.read_bytes()
    opened = before.replace(b'"passes": true', b'"passes": false')
    text = read_prd(opened)
    assert text.prd.passed == frozenset()
    ids = [story.id for story in text.prd.stories]
    assert text.passed(ids).bytes == opened.replace(b'"passes": false', b'"passes": true')
    dated = text.passed(ids[:1], updated_at="2026-11-23T00:00:00Z")
    old = json.loads(opened)["updated_at"]
    wanted = opened.replace(b'"passes": false', b'"passes": true', 1)
    at = wanted.rindex(f'"{old}"'.encode())
    assert dated.bytes == wanted[:at] + wanted[at:].replace(
        f'"{old}"'.encode(), b'"2026-11-23T00:00:00Z"'
    )


def test_what_has_the_value_already_keeps_its_text() -> None:
    data = b'{"project":"p","feature":"f","user_stories":[{"id":"a","title":"t","description":"d",'
    data += b'"passes" :\ttrue}],"branch_name":"x\\u0079"}'
    text = read_prd(data)
    assert text.passed(["a"]).on_branch("xy") is text


def test_a_key_that_is_missing_is_put_in_as_its_neighbours_are() -> None:
    data = b'\xef\xbb\xbf{\r\n\t"project" : "p",\r\n\t"feature" : "f",\r\n\t"user_stories" : ['
    data += b'\r\n\t\t{"id": "a", "title": "t", "description": "d"}\r\n\t]\r\n}\r\n'
    after = read_prd(data).passed(["a"]).on_branch("b").bytes
    wanted = data.replace(b'"d"}', b'"d", "passes": true}')
    assert after == wanted.replace(b"\t]\r\n}", b'\t],\r\n\t"branch_name" : "b"\r\n}')


def test_commas_may_lead() -> None:
    stories = b'[{"id": "a"\n , "title": "t"\n , "description": "d"\n }]'
    data = b'{"project": "p", "feature": "f", "user_stories": ' + stories + b"}"
    after = read_prd(data).passed(["a"]).bytes
    assert after == data.replace(b'"d"\n }', b'"d"\n , "passes": true\n }')


def test_a_change_that_makes_the_prd_unsound_is_refused() -> None:
    text = read_prd(json.dumps(prd_json({"id": "a"})).encode())
    with pytest.raises(PrdError, match=r'there is no story "b"'):
        text.passed(["b"])
    with pytest.raises(PrdError, match=r"\$\.branch_name"):
        text.on_branch("a b")
    with pytest.raises(PrdError, match=r"\$\.user_stories\[0\]\.priority"):
        text.changed(stories={"a": {"priority": 256}})


def test_a_criterion_is_worded_anew_and_nothing_else() -> None:
    data = json.dumps(prd_json({"id": "a", "acceptance_criteria": ["x", "y", "z"]})).encode()
    text = read_prd(data)
    after = text.amended("a", 1, 'a "y"')
    assert after.bytes == data.replace(b'"y"', b'"a \\"y\\""')
    with pytest.raises(PrdError, match="no acceptance criterion 3"):
        text.amended("a", 3, "x")


_space = st.text(alphabet=" \t\r\n", max_size=4)
_scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=6)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


class Layout:
    """Writes JSON with blanks anywhere, and notes where a value of a path stands."""

    def __init__(self, blanks: list[str], *, ascii_only: bool) -> None:
        self._blanks, self._ascii_only = itertools.cycle(blanks), ascii_only
        self.spans: dict[str, tuple[int, int]] = {}
        self.text = ""

    def write(self, value: Any, path: str = "$") -> None:
        self._blank()
        start = len(self.text)
        if isinstance(value, dict):
            self._all("{}", list(value.items()), path)
        elif isinstance(value, list):
            self._all("[]", list(enumerate(value)), path)
        else:
            self.text += json.dumps(value, ensure_ascii=self._ascii_only)
        self.spans[path] = (start, len(self.text))
        self._blank()

    def _all(self, braces: str, members: list[tuple[Any, Any]], path: str) -> None:
        self.text += braces[0]
        for number, (key, value) in enumerate(members):
            if number:
                self.text += ","
            if braces == "{}":
                self._blank()
                self.text += json.dumps(key)
                self._blank()
                self.text += ":"
            self.write(value, f"{path}.{key}")
        if not members:
            self._blank()
        self.text += braces[1]

    def _blank(self) -> None:
        self.text += next(self._blanks)


@settings(deadline=None)
@given(data=st.data())
def test_in_any_layout_only_the_changed_values_bytes_differ(data: st.DataObject) -> None:
    extra = data.draw(st.dictionaries(st.text(max_size=4), _values, max_size=3))
    keys = {"id", "title", "description", "passes", "priority", "project", "feature"}
    known = keys | {"user_stories", "depends_on", "dependencies", "complexity", "version"}
    clean = {key: value for key, value in extra.items() if key not in known}
    flags = data.draw(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=4))
    stories = []
    for number, flag in enumerate(flags):
        story: dict[str, Any] = {"id": f"s{number}", "title": "t", "description": "d", **clean}
        if flag is not None:
            story["passes"] = flag
        stories.append(story)
    root = {**clean, "project": "p", "feature": "f", "user_stories": stories}
    blanks = data.draw(st.lists(_space, min_size=1, max_size=9))
    layout = Layout(blanks, ascii_only=data.draw(st.booleans()))
    layout.write(root)
    bom = data.draw(st.sampled_from(["", "\ufeff"]))
    before = bom + layout.text
    chosen = data.draw(st.sets(st.sampled_from(range(len(flags)))))

    after = read_prd(before.encode()).passed(f"s{n}" for n in chosen)

    for number in chosen:
        stories[number]["passes"] = True
    assert json.loads(after.text.removeprefix("\ufeff")) == root
    wanted, offset = "", 0
    for start, end in sorted(
        layout.spans[f"$.user_stories.{n}.passes"] for n in chosen if flags[n] is False
    ):
        wanted += before[offset : start + len(bom)] + "true"
        offset = end + len(bom)
    wanted += before[offset:]
    if any(flags[n] is None for n in chosen):
        assert len(after.text) > len(wanted)
        assert _is_left(wanted, after.text)
    else:
        assert after.text == wanted


def _is_left(shorter: str, longer: str) -> bool:
    """Whether `shorter` is left when characters are taken out of `longer`."""
    letters = iter(longer)
    return all(letter in letters for letter in shorter)
