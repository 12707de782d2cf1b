"""What a Ralph run is doing, as pure state: records go in, lines for people come out."""

from collections.abc import Iterator

from codetether_ray.cli import words
from codetether_ray.cli.progress import AgentLine, SwarmView
from codetether_ray.core import events as e
from codetether_ray.core.events import Record

_GATES = "gates"
"""Under which the running gate has its line."""
_SIGNS = {"passed": "passed", "failed": "did not pass", "blocked": "blocked"}


class RalphView(SwarmView):
    """The stories and their agents, as the records tell of them."""

    def __init__(self, run_id: str = "") -> None:
        super().__init__(run_id)
        self._stories: dict[str, str] = {}
        """How each story stands."""

    def _take(self, record: Record) -> Iterator[str]:
        told = self._of_run(record)
        if told is None:
            yield from super()._take(record)
            return
        self.run_id = record.correlation.run_id
        if told:
            yield told

    def _of_run(self, record: Record) -> str | None:  # noqa: C901 - a table of words
        """What an event of the coordinator says; None for others' events."""
        match record.event:
            case e.RalphStarted() as started:
                return self._started(started.stories, started.feature, started.note)
            case e.RalphContinued() as continued:
                return self._started(continued.stories, "goes on", continued.note)
            case e.AttemptStarted(story=story, attempt=attempt, title=title, agent=agent):
                self._line(agent, story).state = "running"
                self._stories[story] = "running"
                return f"{story}: attempt {attempt}: {words.one_line(title, 80)}"
            case e.AttemptEnded(story=story, status=status, agent=agent):
                self._line(agent, story).state = "completed"
                self._stories[story] = "checking" if status == "done" else "running"
                return ""
            case e.StoryMerged(story=story, status=status, conflicts=conflicts):
                self._stories[story] = "checking"
                files = ", ".join(conflicts)
                return f"{story}: a conflict in {files} was resolved" * (status == "resolved")
            case e.ToolOutput(call_id=call, text=text) if call.startswith("gate:"):
                return self._printed(call, text)
            case e.GateRun(story=story, gate=gate) as gated:
                self.agents.pop(_GATES, None)
                how = "passed" if gated.passed else "failed"
                return f"{story}: {gate} {how} ({words.seconds(gated.elapsed_ms / 1000)})"
            case e.StoryEnded(story=story, status=status, detail=detail):
                self._stories[story] = status
                why = "" if status == "passed" else f": {words.one_line(detail, 160)}"
                return f"{story}: {_SIGNS[status]}{why}"
            case e.AttemptFaulted(story=story, error=error, next_in_s=wait_s):
                then = f"; again in {words.seconds(wait_s)}" if wait_s is not None else ""
                return f"{story}: no attempt counted: {words.one_line(error, 160)}{then}"
            case e.DiagnosisMade(story=story, finding=finding):
                return f"{story}: diagnosis: {words.one_line(finding, 160)}"
            case e.CriterionJudged(story=story, criterion=number, is_granted=is_granted):
                how = "amended" if is_granted else "stays as it is"
                return f"{story}: criterion {number} {how}"
            case e.RalphFinished(outcome=outcome):
                self.phase = outcome
                return f"ralph {outcome}"
            case _:
                return None

    def _started(self, stories: tuple[object, ...], feature: str, note: str) -> str:
        self.phase = "working"
        for story in stories:
            if isinstance(story, dict):
                is_done = story.get("passes") is True
                self._stories[str(story["id"])] = "passed" if is_done else "open"
        passed = sum(state == "passed" for state in self._stories.values())
        said = f"{feature}: {passed} of {_stories(len(stories))} passed"
        return f"{said}; {note}" if note else said

    def _printed(self, call: str, text: str) -> str:
        """A gate's last words stand on a line of their own, as long as it runs."""
        _, story, gate = call.split(":", 2)
        line = self.agents.setdefault(_GATES, AgentLine(""))
        line.name, line.state = f"{story} {gate}", "checking"
        said = [words.one_line(part, 100) for part in text.splitlines() if part.strip()]
        line.doing = said[-1] if said else line.doing
        return ""

    def _line(self, path: str, story: str) -> AgentLine:
        return self.agents.setdefault(path, AgentLine(story))

    def headline(self, now: float) -> str:
        """One line on the whole run."""
        passed = sum(state == "passed" for state in self._stories.values())
        checking = [id for id, state in self._stories.items() if state == "checking"]
        parts = [f"ralph {self.run_id}".strip(), self.phase]
        if self._stories:
            parts.append(f"{passed}/{len(self._stories)} stories passed")
        if checking:
            parts.append(f"checking {', '.join(checking)}")
        parts.append(f"{words.count(self.usage.total_tokens)} tokens")
        if self.cost_usd is not None and self.cost_usd > 0:
            parts.append(words.dollars(self.cost_usd))
        if self.started_at is not None:
            parts.append(words.seconds(now - self.started_at))
        return " · ".join(parts)


def _stories(number: int) -> str:
    return "1 story" if number == 1 else f"{number} stories"
