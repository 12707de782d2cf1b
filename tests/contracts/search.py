"""What searches promise, whichever program finds the candidates."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codetether_ray.core.errors import ToolError
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.ports.tool import ToolContext
from codetether_ray.sandbox.local import LocalSandbox
from codetether_ray.tools.catalog import READ_TOOLS
from codetether_ray.tools.toolbox import toolbox

_few = settings(
    max_examples=6,
    deadline=None,
    # each example starts from an empty directory, and each side is a class of its own
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


@dataclass
class Searcher:
    """A workspace and the search tools over it."""

    root: Path
    program: str | None

    async def __call__(self, tool: str, **arguments: Any) -> str:
        """A tool's answer."""
        ctx = ToolContext(
            spec=AgentSpec(
                path="main",
                kind="main",
                name="main",
                model="tape/x",
                root=str(self.root),
                correlation=Correlation(run_id="ses_0000000000_00000000"),
            ),
            root=self.root,
            sandbox=LocalSandbox(),
            emit=lambda event: None,
            search_program=self.program,
        )
        return await toolbox(READ_TOOLS).call(tool, json.dumps(arguments), ctx)

    async def files(self, pattern: str = "**", **arguments: Any) -> list[str]:
        """What `glob` finds."""
        found = await self("glob", pattern=pattern, limit=5000, **arguments)
        return [] if found == "no files match" else found.split("\n")

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Make files."""
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def git(self, *words: str, at: str = ".") -> str:
        """Run git in the workspace."""
        done = subprocess.run(
            ["git", "-c", "core.excludesFile=/dev/null", *words],
            cwd=self.root / at,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode()


_NAMES = ("a", "b.py", "c.txt", "build", "x y")
_PATTERNS = (
    "*.py", "!b.py", "build", "build/", "/a", "a/*", "!a/b.py", "**/a", "a/**", "a/**/b.py", "*",
    "!*/", "!*.txt", "[ab]*", "?.txt", "x\\ y", "x y ", "# a", "\\#a", "[!a].py", "!a", "a/",
    "/*/a", "**", "b.[p]y", "!/build/", "c.*", "*a*", "a/b.py/", "[]a]", "!!a",
)  # fmt: skip
_ignore = st.lists(st.sampled_from(_PATTERNS), max_size=5).map("\n".join)
_paths = st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3).map("/".join)


class SearchContract:
    """Give a fixture `program`: the path of `rg`, or None."""

    @pytest.fixture
    def search(self, tmp_path: Path, program: str | None) -> Searcher:
        root = tmp_path / "work"
        root.mkdir()
        return Searcher(root, program)

    async def test_ignored_files_are_not_found(self, search: Searcher) -> None:
        search.git("init", "-q")
        search.write(
            {
                ".gitignore": "*.log\n/out/\n!keep.log\n",
                "a.log": "x",
                "keep.log": "x",
                "out/a.py": "x",
                "sub/out/a.py": "x",
                "sub/.gitignore": "!a.log\n*.tmp\n",
                "sub/a.log": "x",
                "sub/a.tmp": "x",
                "private/x": "x",
                ".git/info/exclude": "private\n",
                ".github/ci.yml": "x",
                "node_modules/a.js": "x",
            }
        )
        expected = [
            ".github/ci.yml",
            ".gitignore",
            "keep.log",
            "sub/.gitignore",
            "sub/a.log",
            "sub/out/a.py",
        ]
        assert await search.files() == expected
        found = await search("grep", pattern="x")
        assert [line.split(":")[0] for line in found.split("\n")] == [
            path for path in expected if not path.endswith(".gitignore")
        ]

    async def test_ignore_files_count_outside_git_too(self, search: Searcher) -> None:
        search.write({".gitignore": "*.log", "a.log": "x", "b": "x"})
        assert await search.files("*") == [".gitignore", "b"]

    async def test_rules_above_the_root_count_up_to_the_top_of_the_worktree(
        self, search: Searcher
    ) -> None:
        search.git("init", "-q")
        search.write({".gitignore": "*.log\n/sub/out\n", "sub/a.log": "x", "sub/out/b": "x"})
        search.write({"sub/c": "x", "sub/deep/out/d": "x"})
        (search.root.parent / ".gitignore").write_text("*\n")
        search.root = search.root / "sub"
        assert await search.files() == ["c", "deep/out/d"]

    async def test_a_worktree_has_the_excludes_of_its_repository(self, search: Searcher) -> None:
        search.git("init", "-q")
        search.write({"a": "x"})
        search.git("add", "-A")
        search.git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x")
        search.git("worktree", "add", "-q", "../tree")
        search.write({".git/info/exclude": "private\n"})
        search.root = search.root.parent / "tree"
        search.write({"private/b": "x", "c": "x"})
        assert await search.files() == ["a", "c"]

    async def test_an_ignored_directory_that_is_named_is_searched(self, search: Searcher) -> None:
        search.git("init", "-q")
        search.write({".gitignore": "out\n*.log\n", "out/a.log": "x", "out/b": "x"})
        search.write({"out/.gitignore": "b\n", "node_modules/lib/x.js": "needle"})
        assert await search.files(path="out") == ["out/.gitignore", "out/a.log"]
        assert await search("grep", pattern="needle", path="node_modules/lib") == (
            "node_modules/lib/x.js:1: needle"
        )

    async def test_links_are_not_followed(self, search: Searcher) -> None:
        outside = search.root.parent / "outside"
        outside.mkdir()
        (outside / "secret").write_text("needle")
        search.write({"a": "needle"})
        (search.root / "dir").symlink_to(outside)
        (search.root / "file").symlink_to(outside / "secret")
        assert await search.files() == ["a"]
        assert await search("grep", pattern="needle") == "a:1: needle"

    async def test_globs(self, search: Searcher) -> None:
        search.write({"a.py": "", "src/b.py": "", "src/d.ts": "", "src/deep/test_c.py": ""})
        for pattern, expected in (
            ("*.py", ["a.py", "src/b.py", "src/deep/test_c.py"]),
            ("src/*.py", ["src/b.py"]),
            ("src/**/*.py", ["src/b.py", "src/deep/test_c.py"]),
            ("**/test_*", ["src/deep/test_c.py"]),
            ("*.{py,ts}", ["a.py", "src/b.py", "src/d.ts", "src/deep/test_c.py"]),
            ("src/{b,d}.?[sy]", ["src/b.py", "src/d.ts"]),
            ("src", []),
            ("src/**", ["src/b.py", "src/d.ts", "src/deep/test_c.py"]),
            ("./a.py", ["a.py"]),
        ):
            assert (pattern, await search.files(pattern)) == (pattern, expected)

    async def test_a_glob_holds_below_its_directory(self, search: Searcher) -> None:
        search.write({"src/a/b.py": "", "a/b.py": ""})
        assert await search.files("a/*.py", path="src") == ["src/a/b.py"]
        assert await search.files("*.py", path="./src/") == ["src/a/b.py"]

    async def test_lines_are_found_as_python_reads_the_pattern(self, search: Searcher) -> None:
        search.write(
            {
                "a.py": "def f(x):\n    # Needle in a haystack\n    return needs\n",
                "b.txt": "Needle\r\n<div>\r\nthread\r\ncafé\r\nk\r\n\u212a\r\nXI\nx\u0131\n",
                "latin": "café\n".encode("latin-1"),
                "wide": "café\n".encode("utf-16"),
                "binary": b"Needle need thread\0\n",
            }
        )
        cases: tuple[tuple[dict[str, Any], list[str]], ...] = (
            ({"pattern": "Need"}, ["a.py:2", "b.txt:1"]),
            ({"pattern": "need"}, ["a.py:3"]),
            ({"pattern": "need", "ignore_case": True}, ["a.py:2", "a.py:3", "b.txt:1"]),
            ({"pattern": "(?i)need"}, ["a.py:2", "a.py:3", "b.txt:1"]),
            ({"pattern": "Needle|thread"}, ["a.py:2", "b.txt:1", "b.txt:3"]),
            ({"pattern": "^Needle$"}, ["b.txt:1"]),
            ({"pattern": "Need", "include": "*.py"}, ["a.py:2"]),
            ({"pattern": "f(x)", "literal": True}, ["a.py:1"]),
            ({"pattern": r"f\(x\)"}, ["a.py:1"]),
            ({"pattern": r"\<div\>"}, ["b.txt:2"]),
            ({"pattern": r"(?<=<)div"}, ["b.txt:2"]),
            ({"pattern": "[[:upper:]]e[[:alpha:]]+"}, ["a.py:2", "b.txt:1"]),
            ({"pattern": "é"}, ["b.txt:4", "latin:1", "wide:1"]),
            ({"pattern": "caf.$"}, ["b.txt:4", "latin:1", "wide:1"]),
            ({"pattern": "^K$", "ignore_case": True}, ["b.txt:5", "b.txt:6"]),
            ({"pattern": "^xi$", "ignore_case": True}, ["b.txt:7", "b.txt:8"]),
            ({"pattern": r"(\w+\s?)+d$"}, ["b.txt:3"]),
            ({"pattern": "no such text"}, []),
            ({"pattern": "Need", "path": "b.txt"}, ["b.txt:1"]),
        )
        for arguments, expected in cases:
            found = await search("grep", **arguments)
            lines = [] if found == "no matches" else found.split("\n")
            places = [":".join(line.split(":")[:2]) for line in lines]
            assert (arguments, places) == (arguments, expected)

    async def test_what_is_left_out_is_said(self, search: Searcher) -> None:
        search.write({"a": "x\n" * 150, "b": "x\n"})
        found = (await search("grep", pattern="x")).split("\n")
        assert found[99:] == ["a:100: x", "[more than 100 matches; narrow the pattern or the path]"]
        assert len((await search("grep", pattern="x", limit=151)).split("\n")) == 151
        search.write({"long": "y" * 30_000 + "needle y\n"})
        cut = await search("grep", pattern="y")
        assert len(cut) < 500
        assert "first 5,000 characters of a line are searched" in cut
        few = await search("glob", pattern="*", limit=2)
        assert few == "a\nb\n[3 files match; the first 2 are shown]"

    async def test_a_pattern_that_would_take_for_ever_is_stopped(
        self, search: Searcher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("codetether_ray.tools.scan._TIME_S", 0.5)
        search.write({"a": "a" * 60 + "!\n"})
        with pytest.raises(ToolError, match="took too long"):
            await search("grep", pattern="(a+)+$")

    async def test_what_is_no_pattern_is_refused(self, search: Searcher) -> None:
        with pytest.raises(ToolError, match="literal"):
            await search("grep", pattern="f(")
        with pytest.raises(ToolError, match="not a glob"):
            await search("glob", pattern="a[")

    async def test_definitions_come_first_with_the_lines_around_them(
        self, search: Searcher
    ) -> None:
        search.write(
            {
                "a.py": "one\ntwo\ntotal(1)\nfour\nfive\nsix\n",
                "b.py": "x\n\nasync def total(n):\n    return n\n",
                "c.lock": "total\n",
            }
        )
        assert await search("codesearch", pattern="Total", context_lines=1) == (
            "b.py:3\n     2 | \n>    3 | async def total(n):\n     4 |     return n\n"
            "a.py:3\n     2 | two\n>    3 | total(1)\n     4 | four"
        )
        assert await search("codesearch", pattern="Total", case_sensitive=True) == "no matches"
        assert "c.lock" in await search("codesearch", pattern="total", file_pattern="*.lock")

    @_few
    @given(
        files=st.sets(_paths, min_size=1, max_size=12),
        top=_ignore,
        inner=_ignore,
        exclude=_ignore,
    )
    async def test_what_git_would_not_add_is_not_found_and_all_else_is(
        self, search: Searcher, files: set[str], top: str, inner: str, exclude: str
    ) -> None:
        shutil.rmtree(search.root)
        search.root.mkdir()
        search.git("init", "-q")
        for name in sorted(files):
            if not any(other.startswith(f"{name}/") for other in files):
                search.write({name: "needle\n"})
        search.write({".gitignore": top, ".git/info/exclude": exclude})
        if (search.root / "a").is_dir():
            search.write({"a/.gitignore": inner})
        listed = search.git("ls-files", "-z", "--others", "--exclude-standard")
        expected = sorted(filter(None, listed.split("\0")))
        assert await search.files() == expected
        found = await search("grep", pattern="needle", limit=1000)
        with_needle = [path for path in expected if not path.endswith(".gitignore")]
        assert found == ("\n".join(f"{p}:1: needle" for p in with_needle) or "no matches")
