"""What a diff may not do to what it is measured by, language by language."""

import pytest

from codetether_ray.ralph.measuring import is_test_file, weakened
from tests.unit.ralph.world import story

STORY = story("A", description="Make the parser faster.")


def diff(path: str, *lines: str, status: str = "") -> str:
    """The diff of one file; `lines` begin with - or +."""
    head = [f"diff --git a/{path} b/{path}"]
    head += [f"{status} file mode 100644"] if status else []
    return "\n".join((*head, f"--- a/{path}", f"+++ b/{path}", "@@ -1 +1 @@", *lines))


WEAKER = {
    "a python test file goes": diff(
        "tests/test_a.py", "-def test_one():", "-    assert 1", status="deleted"
    ),
    "a python test goes": diff("tests/test_a.py", "-def test_one():", "-    assert one()"),
    "a python test is renamed away": diff("t/test_a.py", "-def test_one():", "+def check_one():"),
    "a python test is skipped": diff("tests/test_a.py", "+@pytest.mark.skip(reason='later')"),
    "a python test may fail": diff("tests/test_a.py", "+@pytest.mark.xfail"),
    "a python test skips itself": diff("tests/test_a.py", "+    pytest.skip('no')"),
    "a unittest is skipped": diff("tests/test_a.py", '+    @unittest.skip("no")'),
    "tests are not collected": diff(
        "tests/conftest.py", "+collect_ignore = ['test_a.py']", status="new"
    ),
    "a rust test goes": diff("src/lib.rs", "-    #[test]", "-    fn adds() {}"),
    "a rust test is ignored": diff("src/lib.rs", "+    #[ignore]"),
    "a tokio test goes": diff("src/lib.rs", "-    #[tokio::test]", "-    async fn adds() {}"),
    "a script test goes": diff("src/a.test.ts", "-  it('adds', () => {})"),
    "a script test is skipped": diff("src/a.test.ts", "-  it('adds', f)", "+  it.skip('adds', f)"),
    "only one script test runs": diff("src/a.spec.js", "+  describe.only('it', f)"),
    "a script suite is crossed out": diff("__tests__/a.js", "+xdescribe('it', f)"),
    "a go test goes": diff("a_test.go", "-func TestAdds(t *testing.T) {"),
    "a go test is skipped": diff("a_test.go", "+\tt.Skip()"),
    "a go test is skipped with words": diff("a_test.go", '+\tt.Skipf("no %d", 1)'),
    "what the gate runs changes": diff("scripts/check.sh", "+exit 0"),
    "a file of rules changes": diff("ruff.toml", "+ignore = ['E501']"),
    "a file of rules goes": diff(".eslintrc.json", "-{}", status="deleted"),
    "a rule in pyproject changes": diff("pyproject.toml", "+addopts = '--deselect a.py'"),
    "a script of package.json changes": diff("package.json", '+    "test": "true",'),
    **{
        f"a new {path}": diff(path, "+x", status="new")
        for path in (
            "pytest.ini",
            "tests/.pytest.toml",
            "tox.ini",
            "conftest.py",
            "sitecustomize.py",
            "jest.config.mjs",
            ".eslintrc",
            "web/.eslintrc.cjs",
            "eslint.config.js",
            ".ruff.toml",
            ".mypy.ini",
            ".coveragerc",
        )
    },
    "a new setup.cfg with rules": diff("setup.cfg", "+[tool:pytest]", status="new"),
    "a new pyproject with rules": diff("pyproject.toml", "+[tool.pytest.x]", status="new"),
    "a new npmrc with another shell": diff(".npmrc", "+script-shell=/bin/true", status="new"),
    "a file of rules by renaming": diff("a.txt", "-x").replace(
        "--- a/a.txt", "rename from a.txt\nrename to pytest.ini\n--- a/a.txt"
    ),
    "a package's rules for its tests": diff("package.json", '+  "jest": {"testMatch": []},'),
    "a hook in the conftest": diff("tests/conftest.py", "+def pytest_runtest_makereport(item):"),
    "a fixture over every test": diff("tests/conftest.py", "+@pytest.fixture(autouse=True)"),
    "a module in the runner's place": diff("pytest.py", "+raise SystemExit", status="new"),
    "strictness goes": diff("tsconfig.json", '-    "strict": true,', '+    "strict": false,'),
}

AS_STRONG = {
    "a test more": diff("tests/test_a.py", "+def test_two():", "+    assert two()"),
    "a test moves": diff("tests/test_a.py", "-def test_one():")
    + "\n"
    + diff("tests/test_b.py", "+def test_one():", status="new"),
    "a test's body changes": diff(
        "tests/test_a.py", "-    assert one() == 1", "+    assert one() == 2"
    ),
    "code that is no test": diff("src/a.py", "-def tested():", "+def retested():"),
    "a name like a test in code": diff("src/a.py", "-def test_it():"),
    "a file of tests that skip, all new": diff(
        "tests/test_new.py", "+@pytest.mark.skipif(win)", "+def test_x():", status="new"
    ),
    "a fixture more": diff("tests/conftest.py", "+@pytest.fixture", "+def one():"),
    "a new setup.cfg without rules": diff("setup.cfg", "+[metadata]", status="new"),
    "a project begins": diff("package.json", '+  "scripts": {"test": "jest"}', status="new"),
    "a file with a like name": diff("src/mypytest.ini.py", "+x = 1", status="new"),
    "a dependency": diff("package.json", '+    "left-pad": "1.0.0",'),
    "a dependency of python": diff("pyproject.toml", '+    "rich>=13",'),
    "rust code": diff("src/lib.rs", "-fn a() {}", "+fn b() {}"),
    "a word in prose": diff("README.md", "+run it.skip or pytest.mark.skip"),
    "a skip that goes": diff("tests/test_a.py", "-@pytest.mark.skip"),
}


@pytest.mark.parametrize("case", WEAKER)
def test_a_weaker_measure_is_told(case: str) -> None:
    assert weakened(WEAKER[case], STORY, ["./scripts/check.sh --all", "python -m pytest -q"])


@pytest.mark.parametrize("case", AS_STRONG)
def test_what_is_as_strong_passes(case: str) -> None:
    assert (
        weakened(AS_STRONG[case], STORY, ["./scripts/check.sh --all", "python -m pytest -q"]) == ()
    )


@pytest.mark.parametrize(
    ("gate", "path"),
    [
        ("make test", "Makefile"),
        ("cd x && make -j4 check", "GNUmakefile"),
        ("just ci", "justfile"),
        ("nox", "noxfile.py"),
    ],
)
def test_what_a_gate_runs_by_another_name_is_its_measure_too(gate: str, path: str) -> None:
    assert weakened(diff(path, "-\tpytest", "+\ttrue"), STORY, [gate])
    assert weakened(diff(path, "+\ttrue", status="new"), STORY, ["make test", "just ci"]) == (
        () if path == "noxfile.py" else (f"{path} is changed, which a gate runs",)
    )


def test_what_the_story_names_it_may_change() -> None:
    change = diff("tests/test_a.py", "-def test_one():", status="deleted")
    assert weakened(change, story("A", description="Remove tests/test_a.py, it is old.")) == ()
    assert weakened(change, story("A", acceptance_criteria=("test_a.py is gone",))) == ()
    assert weakened(change, story("A", description="See test_a.pyx and xtest_a.py."))


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("tests/unit/x.py", True),
        ("test_x.py", True),
        ("x_test.go", True),
        ("src/x.test.tsx", True),
        ("src/__tests__/x.js", True),
        ("src/latest.py", False),
        ("src/contest.go", False),
        ("tests/data.json", False),
    ],
)
def test_a_test_file_is_known_by_its_name_or_place(path: str, is_one: bool) -> None:
    assert is_test_file(path) is is_one
