"""The tool `prd`: a PRD for Ralph, asked about, written, judged, saved."""

from typing import Any, Literal

from pydantic import Field

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.prds import PrdDesk, PrdReport
from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.files import MOST_BYTES, Changes, read_bytes
from codetether_ray.tools.paths import place

_QUESTIONS = """\
Before a PRD for{task}, find out (in the repository, or from the user):
1. Problem: what is wrong or missing today, and for whom?
2. Scope: what must it do, and what is out of it? What must stay as it is?
3. Success: how would a test or a reader see that it works? These become acceptance_criteria.
4. Constraints: libraries, interfaces, performance, compatibility, security.
5. Stories: which changes can be made and checked one by one (2 to 12)? Name their files.
6. Order: which story builds on the result of which (depends_on)? Two that change the same files \
depend on one another.
7. Gates: which commands check this repository: typecheck, lint, test, build?
Then: action generate (or save) with project, feature, stories, quality_checks."""


class PrdArgs(Arguments):
    """Make a PRD for `ralph`. analyze: what to find out first; generate: its JSON; validate: what
    is wrong with it; save: validate, then write prd_path.
    """

    action: Literal["analyze", "generate", "validate", "save"]
    task_description: str = ""
    project: str = ""
    feature: str = ""
    stories: list[dict[str, Any]] = Field(
        default_factory=list,
        description="{id, title, description, acceptance_criteria[], depends_on[] (ids), "
        "priority (1 first), complexity (1-5)}",
    )
    quality_checks: dict[str, Any] = Field(
        default_factory=dict,
        description="Shell commands typecheck, lint, test, build; left out: what fits",
    )
    prd_path: str = Field(default="", description="Default for save: prd.json")
    prd_json: str = Field(default="", description="A whole PRD, in place of stories")


async def prd(args: PrdArgs, ctx: ToolContext) -> str:
    """What the action comes to."""
    if args.action == "analyze":
        task = " ".join(args.task_description.split())
        return _QUESTIONS.format(task=f' "{task}"' if task else " it")
    if ctx.prds is None:
        raise ToolError("there is nobody here who could judge a PRD")
    report = _report(args, ctx, ctx.prds)
    if args.action == "validate":
        return _verdict(report)
    if not report.is_valid:
        raise ToolError(_verdict(report))
    if args.action == "generate":
        return f"{report.text}{_verdict(report)}"
    return _saved(args.prd_path or "prd.json", report, ctx, ctx.prds)


def _report(args: PrdArgs, ctx: ToolContext, desk: PrdDesk) -> PrdReport:
    """The PRD that the arguments mean; a file's only where it is to be validated."""
    if args.prd_json:
        return desk.judge(args.prd_json.encode(errors="replace"))
    if args.action == "validate" and args.prd_path:
        return desk.judge(read_bytes(place(ctx.root, args.prd_path), MOST_BYTES))
    if not args.stories:
        raise ToolError(f"{args.action} needs stories, or the whole PRD as prd_json")
    checks = {"quality_checks": args.quality_checks} if args.quality_checks else {}
    return desk.compose(
        ctx.root,
        {
            "project": args.project,
            "feature": args.feature,
            "user_stories": list(args.stories),
            **checks,
        },
    )


def _verdict(report: PrdReport) -> str:
    if not report.is_valid:
        return "not valid:\n" + "\n".join(f"- {problem}" for problem in report.problems)
    stories, widths = sum(report.waves), ", ".join(map(str, report.waves))
    notes = "".join(f"\n- warning: {warning}" for warning in report.warnings)
    return f"valid: {stories} stories, {report.passed} passed, in waves of {widths}{notes}"


def _saved(path: str, report: PrdReport, ctx: ToolContext, desk: PrdDesk) -> str:
    changes = Changes(ctx.root)
    found = changes.locate(path)
    lost = 0
    if changes.exists(found):
        lost = desk.judge(read_bytes(found, MOST_BYTES)).passed - report.passed
    changes.write(found, report.text.encode())
    changes.commit()
    undone = f"\n{lost} more had passed in the file that was there" if lost > 0 else ""
    return f"saved {found.relative}; {_verdict(report)}{undone}"


TOOL = Tool("prd", PrdArgs, prd, Effect.WRITE)
