"""Markers, failures and progress: what is read from agents, and told to them."""

from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.ralph_events import GateRun
from codetether_ray.ralph.failures import gates_digest, gates_report, normal
from codetether_ray.ralph.markers import read_marker, without_markers
from codetether_ray.ralph.progress import Told, appended, distilled, entry
from codetether_ray.ralph.trailers import story_of
from tests.unit.ralph.world import prd_of, story


def test_a_marker_stands_on_a_line_of_its_own_and_the_last_one_counts() -> None:
    assert read_marker("done\nSTORY_COMPLETE: US-1", "US-1").kind == "complete"
    assert read_marker("**STORY_COMPLETE: us-1**", "US-1").kind == "complete"
    assert read_marker("I shall say STORY_COMPLETE: US-1 soon", "US-1").kind == "none"
    assert read_marker("STORY_COMPLETE: US-2", "US-1").kind == "none"
    assert read_marker("STORY_BLOCKED:", "US-1").kind == "none"
    text = "STORY_COMPLETE: US-1\nSTORY_BLOCKED: no key"
    assert read_marker(text, "US-1").reason == "no key"
    assert without_markers(f"said\n{text}") == "said"


def test_a_wrong_criterion_comes_with_evidence_and_perhaps_a_proposal() -> None:
    found = read_marker("CRITERION_WRONG: 2: it is 3 => say 3", "A")
    assert (found.criterion, found.reason, found.proposal) == (2, "it is 3", "say 3")
    assert read_marker("CRITERION_WRONG: 2: it is 3", "A").proposal == ""
    assert read_marker("CRITERION_WRONG: it is 3", "A").kind == "none"


def gate(output: str, *, code: int = 1, name: str = "test") -> GateRun:
    return GateRun(
        story="A", attempt=1, gate=name, command="sh t", commit="c", exit_code=code, output=output
    )


def test_failures_are_alike_whatever_the_time_the_place_and_the_colour() -> None:
    one = gate("\x1b[31m/tmp/a/src/x.py:12: boom\x1b[0m in 0.31s (deadbeef01)")
    two = gate("/var/b1/src/x.py:14:  boom in 2.05s (cafebabe02)")
    assert gates_digest([one]) == gates_digest([two])
    assert gates_digest([one]) != gates_digest([gate("another thing")])
    assert gates_digest([one]) != gates_digest([gate(one.output, name="lint")])


def test_the_report_holds_the_exact_end_of_the_output() -> None:
    report = gates_report([gate("x" * 50_000 + "\nthe end"), gate("fine", code=0, name="lint")])
    assert "the end" in report
    assert "characters left out" in report
    assert "Passed: lint." in report
    assert len(report) < 8_000


@given(st.text(max_size=200))
def test_what_is_normal_stays_normal(text: str) -> None:
    assert normal(normal(text)) == normal(text)


def test_an_entry_is_appended_once() -> None:
    block = entry(story("A"), 3, 0.0, "Did.\nLearned: x\nSTORY_COMPLETE: A", ["a.py"], "rlp_1")
    assert "## Iteration 3 - A: do A (1970-01-01 00:00:00 UTC)" in block
    assert "### Learnings\n- x" in block
    once = appended("old\n", block)
    assert once.startswith("old\n\n")
    assert appended(once, block) == once


def test_what_an_attempt_is_told_is_bounded_and_begins_with_what_it_needs() -> None:
    stories = [story(f"S{n}") for n in range(40)]
    prd = prd_of(*stories, story("last", "S0"))
    told = [Told(story=s.id, title=s.title, summary="word " * 800) for s in stories]
    text = distilled(prd, prd.by_id["last"], told)
    assert text.startswith("S0 ")
    assert "S39 " in text
    assert len(text) < 9_000
    assert "earlier stories are left out" in text


def test_a_commit_is_known_by_its_trailers() -> None:
    message = "feat(a): x\n\nRalph-Run: rlp_1\nStory-Id: A\n"
    assert story_of(message, "rlp_1") == "A"
    assert story_of(message, "rlp_2") == ""
