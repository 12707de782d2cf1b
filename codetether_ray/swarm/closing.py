"""The answer to the task, from what the sub-agents report."""

from codetether_ray.agent.tally import Tally
from codetether_ray.core.errors import CodetetherError
from codetether_ray.swarm import prompts
from codetether_ray.swarm.crew import Crew
from codetether_ray.swarm.result import SubtaskResult


async def closing(
    task: str, results: tuple[SubtaskResult, ...], diffstat: str, crew: Crew, tally: Tally
) -> tuple[str, str]:
    """The answer, and a note on why it is only the joined reports ("" if it is not).

    A single subtask's report is the answer; where nothing was completed nobody is asked.
    """
    if len(results) == 1 and results[0].is_success and results[0].turn:
        return results[0].turn.text, ""
    if not any(result.is_success for result in results):
        return joined(results), ""
    reports = [report(result) for result in results]
    try:
        turn = await tally.run(crew.synthesis(), prompts.synthesis_request(task, reports, diffstat))
    except CodetetherError as error:
        return joined(results), f"no synthesis: {error}"
    if turn.is_success and turn.text.strip():
        return turn.text, ""
    return joined(
        results
    ), f"no synthesis: it ended with {turn.outcome} ({turn.error or 'no text'})"


def joined(results: tuple[SubtaskResult, ...]) -> str:
    """All reports, one after another."""
    return "\n\n".join(report(result) for result in results)


def report(result: SubtaskResult) -> str:
    """What one subtask came to, with its whole report and its error."""
    head = f"## {result.subtask.name} ({result.status}"
    head += f", {result.merge})" if result.merge else ")"
    text = result.turn.text if result.turn else ""
    files = f"Files: {', '.join(result.files)}" if result.files else ""
    return "\n".join(part for part in (head, text, result.error, files) if part)
