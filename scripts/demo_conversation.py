"""The conversation that `scripts/record_demo` serves over HTTP and records as `examples/demo.tape`.

It was written by hand: what a capable model would say, step by step, to each agent of a swarm that
is asked to finish `examples/wordkit`. Everything around it is real when it is recorded and when it
is replayed: the plan is parsed, agents start, files are edited, pytest runs, git merges.
"""

import json
import re
from typing import Any

from codetether_ray.testing.model_server import ModelCall, Reply, calls

Step = tuple[str, list[tuple[str, dict[str, Any]]]]

_PLAN = {
    "subtasks": [
        {
            "id": "slug",
            "name": "slug",
            "instruction": "Make tests/test_slug.py pass: slugify in wordkit/slug.py, exported by "
            "wordkit/__init__.py.",
            "specialty": "text normalisation",
            "dependencies": [],
            "priority": 1,
            "files": ["wordkit/slug.py"],
        },
        {
            "id": "wrap",
            "name": "wrap",
            "instruction": "Make tests/test_wrap.py pass: wrap in wordkit/wrap.py, exported from "
            "wordkit/__init__.py.",
            "specialty": "text layout",
            "dependencies": [],
            "priority": 1,
            "files": ["wordkit/wrap.py"],
        },
        {
            "id": "count",
            "name": "count",
            "instruction": "Make tests/test_count.py pass: frequencies in wordkit/count.py.",
            "specialty": "text statistics",
            "dependencies": [],
            "priority": 1,
            "files": ["wordkit/count.py"],
        },
        {
            "id": "report",
            "name": "report",
            "instruction": "Write wordkit/report.py with slugify and frequencies so that "
            "tests/test_report.py passes.",
            "specialty": "documents",
            "dependencies": ["slug", "count"],
            "priority": 2,
            "files": ["wordkit/report.py"],
        },
        {
            "id": "cli",
            "name": "cli",
            "instruction": "Write wordkit/cli.py with wrap and frequencies so that "
            "tests/test_cli.py passes.",
            "specialty": "command line",
            "dependencies": ["wrap", "count"],
            "priority": 2,
            "files": ["wordkit/cli.py"],
        },
    ]
}

_SLUG = '''"""Text to URL slugs."""

import re
import unicodedata


def slugify(text, limit=60):
    """Lower-case ASCII words of `text`, joined by dashes, at most `limit` characters."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = ""
    for word in re.findall(r"[a-z0-9]+", ascii_text.lower()):
        longer = f"{slug}-{word}" if slug else word[:limit]
        if len(longer) > limit:
            break
        slug = longer
    return slug
'''

_WRAP = '''"""Text to lines of bounded width."""


def wrap(text, width):
    """Lines of at most `width` characters; words are kept whole unless longer than a line."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) <= width:
            line = f"{line} {word}"
            continue
        if line:
            lines.append(line)
        while len(word) > width:
            lines.append(word[:width])
            word = word[width:]
        line = word
    return [*lines, line] if line else lines
'''

_COUNT = '''"""How often words occur."""

import re
from collections import Counter


def frequencies(text):
    """A list of (word, count), most frequent first, ties in alphabetical order."""
    counts = Counter(re.findall(r"\\w+", text.lower()))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
'''

_REPORT = '''"""A report on a text's words."""

from wordkit.count import frequencies
from wordkit.slug import slugify


def report(title, text, top=3):
    """A Markdown report: a heading with an anchor, then the `top` most frequent words."""
    heading = f'## {title} <a id="{slugify(title)}"></a>\\n\\n'
    words = frequencies(text)[:top]
    if not words:
        return heading + "no words\\n"
    rows = "".join(f"| {word} | {count} |\\n" for word, count in words)
    return f"{heading}| word | count |\\n| --- | --- |\\n{rows}"
'''

_CLI = '''"""`python -m wordkit.cli WIDTH < text`: wrapped text, and how many words it has."""

import sys

from wordkit.count import frequencies
from wordkit.wrap import wrap


def run(arguments, text):
    """What the command prints for `arguments` and the text on its standard input."""
    if len(arguments) != 1 or not arguments[0].isdecimal() or int(arguments[0]) < 1:
        sys.exit("usage: python -m wordkit.cli WIDTH < text")
    lines = wrap(text, int(arguments[0]))
    return "".join(f"{line}\\n" for line in lines) + f"{len(frequencies(text))} distinct words\\n"


if __name__ == "__main__":
    sys.stdout.write(run(sys.argv[1:], sys.stdin.read()))
'''


def _pytest(target: str) -> tuple[str, dict[str, Any]]:
    return "bash", {"command": f"python -m pytest -q {target} 2>&1 | tail -15"}


def _read(*paths: str) -> list[tuple[str, dict[str, Any]]]:
    return [("read_file", {"path": path}) for path in paths]


def _module(name: str, text: str, export: str | None, verdict: str) -> list[Step]:
    """Read, see the tests fail, write, export, see them pass, report."""
    source, test = f"wordkit/{name}.py", f"tests/test_{name}.py"
    steps: list[Step] = [
        (f"I'll read {source} and its tests first.", _read(source, test)),
        ("Now the tests as they stand.", [_pytest(test)]),
        (
            "They fail as expected. Writing the module.",
            [("write_file", {"path": source, "content": text})],
        ),
    ]
    if export:
        new = f'from wordkit.{name} import {export}\n\n__all__ = ["{export}"]'
        edit = {"path": "wordkit/__init__.py", "old_string": "__all__ = []", "new_string": new}
        steps.append(("AGENTS.md asks for the export.", [("edit", edit)]))
    steps.append(("Running the tests again.", [_pytest(test)]))
    steps.append((verdict, []))
    return steps


_RESOLVED = '''"""Words: slugs, wrapping, counting, reports."""

from wordkit.slug import slugify
from wordkit.wrap import wrap

__all__ = ["slugify", "wrap"]
'''

CONVERSATION: dict[str, list[Step]] = {
    "planner": [
        (
            "Three independent modules, then two that build on them.\n\n```json\n"
            + json.dumps(_PLAN, indent=1)
            + "\n```",
            [],
        )
    ],
    "slug": _module(
        "slug",
        _SLUG,
        "slugify",
        "slugify folds accents, drops punctuation and never "
        "cuts a word; it is exported, and its 4 tests pass.",
    ),
    "wrap": _module(
        "wrap",
        _WRAP,
        "wrap",
        "wrap keeps words whole and cuts only those longer than "
        "a line; it is exported, and its 4 tests pass.",
    ),
    "count": _module(
        "count",
        _COUNT,
        None,
        "frequencies counts words without case or punctuation, "
        "ties in alphabetical order; its 3 tests pass.",
    ),
    "report": _module(
        "report", _REPORT, None, "report is written on slugify and frequencies; its 2 tests pass."
    ),
    "cli": _module(
        "cli", _CLI, None, "The command wraps and counts and refuses a bad width; its 2 tests pass."
    ),
    "resolver": [
        ("Both sides export a function from the same line.", _read("wordkit/__init__.py")),
        (
            "Keeping both exports.",
            [("write_file", {"path": "wordkit/__init__.py", "content": _RESOLVED})],
        ),
        (
            "Both modules' tests on the merged tree.",
            [_pytest("tests/test_slug.py tests/test_wrap.py")],
        ),
        ("Resolved: both exports are kept, in alphabetical order; the 8 tests pass.", []),
    ],
    "synthesis": [
        (
            "wordkit is finished: slugify, wrap and frequencies were corrected, report and cli "
            "were written on top of them, and the exports of slug and wrap, which collided in "
            "`wordkit/__init__.py`, were both kept. All 15 tests pass on the merged branch.",
            [],
        )
    ],
}


def reply(asked: ModelCall) -> Reply:
    """The next thing that the model says to whoever asks (`testing.model_server`'s script)."""
    steps = CONVERSATION[_asker(asked.first_user_text)]
    text, uses = steps[asked.step]
    return calls(*uses, text=text)


def _asker(first_message: str) -> str:
    named = re.search(r'^Your subtask, "(\w+)":', first_message, re.MULTILINE)
    if named:
        return named[1]
    for words, asker in (
        ("Answer with JSON only", "planner"),
        ("Resolve the conflicts", "resolver"),
        ("Answer the task.", "synthesis"),
    ):
        if words in first_message:
            return asker
    raise LookupError(f"nobody known asks: {first_message[:200]}")
