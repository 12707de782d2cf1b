"""What a Ralph run's agents are told. Short: every word is paid for by every attempt."""

from collections.abc import Sequence

from codetether_ray.ports.workspace import Base
from codetether_ray.ralph.prd import Prd, QualityChecks, Story
from codetether_ray.ralph.progress import shorten

_REPORT_CHARS = 16_000

STORY_ROLE = (
    "You implement one story of a larger feature, alone and completely, in a fresh copy of the "
    "source tree. Look, implement, check, mend: run the gates that are named to you before you "
    "end; they are run again, on the merged tree, out of your reach, and decide. Don't commit, "
    "branch or merge: what you leave in the files is committed for you. Don't change the PRD, "
    "progress.txt, or what the gates are configured by; don't remove or skip tests."
)
DIAGNOSIS_ROLE = (
    "You find out why an attempt at a story failed twice in the same way. Read the code and the "
    "outputs; change nothing. Answer with the cause (file and line where there is one), why the "
    "attempts missed it, and the smallest steps that would mend it. Be concrete and brief."
)
RESOLVER_ROLE = (
    "You resolve merge conflicts. The files in your workspace hold conflict markers "
    "(<<<<<<<, =======, >>>>>>>). Edit them so that the intent of both sides is kept, no marker "
    "is left, and the gates pass. Don't commit or run git merge; the files are committed for "
    "you. End with one or two sentences on what you decided."
)


def story_request(
    prd: Prd, story: Story, *, failure: str = "", branch: str = "", finding: str = ""
) -> str:
    """The message to an attempt; `failure` is what became of the one before, on `branch`."""
    parts = [
        f"Project {prd.project}, feature: {prd.feature}",
        f"Your story, {story.id}: {story.title}\n\n{story.description}".rstrip(),
    ]
    if story.acceptance_criteria:
        listed = (f"{n}. {words}" for n, words in enumerate(story.acceptance_criteria, 1))
        parts.append("Acceptance criteria:\n" + "\n".join(listed))
    if prd.technical_requirements:
        listed = (f"- {words}" for words in prd.technical_requirements)
        parts.append("Technical requirements of the whole:\n" + "\n".join(listed))
    parts.append(_gates(prd.quality_checks))
    if failure:
        kept = f" Its work is on branch {branch} (`git show {branch}`)." if branch else ""
        parts.append(f"An earlier attempt did not pass.{kept} What was found:\n\n{failure}")
    if finding:
        parts.append(f"A diagnosis of it says:\n\n{shorten(finding, _REPORT_CHARS)}")
    parts.append(_ending(story))
    return "\n\n".join(parts)


def _gates(checks: QualityChecks) -> str:
    if not checks.commands:
        return "There are no gates: check your work by what the repository has."
    listed = (f"- {name}: `{command}`" for name, command in checks.commands)
    return "Gates, each of which must end with exit status 0:\n" + "\n".join(listed)


def _ending(story: Story) -> str:
    more = ""
    if story.acceptance_criteria:
        more = (
            "\nCRITERION_WRONG: n: evidence => what it should say     if criterion n contradicts "
            "what is true; somebody decides on it"
        )
    return (
        "End with a short report (what you did, lines `Learned: …` for whoever comes after you) "
        "and, on a line of its own, one of:\n"
        f"STORY_COMPLETE: {story.id}\n"
        f"STORY_BLOCKED: the reason     if nobody could do it as things are{more}"
    )


def situation(base: Base, start: str, told: str) -> str:
    """What varies: where the tree comes from, and what earlier stories have left."""
    lines = []
    if base.head:
        on = f" of branch {base.branch}" if base.branch else ""
        lines.append(
            f"Your workspace starts from commit {start[:12]}, based on {base.head[:12]}{on}."
        )
    lines += base.notes
    if told:
        lines.append(f"What earlier stories of this feature have left:\n{told}")
    return "\n".join(lines)


def diagnosis_request(prd: Prd, story: Story, failures: Sequence[str]) -> str:
    """The message to whoever looks for the cause of like failures."""
    told = "\n\n".join(
        f"Attempt {number}:\n{shorten(words, _REPORT_CHARS // max(len(failures), 1))}"
        for number, words in enumerate(failures, 1)
    )
    criteria = "\n".join(f"- {words}" for words in story.acceptance_criteria)
    return (
        f"Story {story.id}: {story.title}\n\n{story.description}\n\n{criteria}\n\n"
        f"{_gates(prd.quality_checks)}\n\nIts last attempts failed alike; your workspace holds "
        f"the files of the last one.\n\n{told}\n\nWhat is the cause?"
    )


def conflict_request(story: Story, conflicts: Sequence[str], report: str) -> str:
    """The message to a resolver."""
    return (
        f"The work of story {story.id} ({story.title}) is being merged onto stories that passed "
        f"meanwhile, and conflicts in: {', '.join(conflicts)}.\n\n{story.description}\n\n"
        f"Its agent's report:\n{shorten(report, _REPORT_CHARS)}\n\nResolve the conflicts."
    )


def conflict_again(first: str, conflicts: Sequence[str], problem: str) -> str:
    """The message of a resolver's second try."""
    left = f"These files still hold conflicts: {', '.join(conflicts)}." if conflicts else ""
    return f"{first}\n\nA first try did not end well. {problem} {left}".rstrip()
