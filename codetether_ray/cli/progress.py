"""What a swarm is doing, as pure state: records go in, lines for people come out."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from codetether_ray.cli import words
from codetether_ray.core import events as e
from codetether_ray.core.events import Record
from codetether_ray.core.usage import Usage

_SILENT_AFTER_S = 60.0
"""An agent that gave no sign for so long is marked."""
_WIDE, _MEDIUM = 90, 60
"""Columns from which an agent's line has all its parts, or some of them."""
_LEAST_DOING = 8
_FINISHED = ("completed", "failed", "blocked", "cancelled", "interrupted", "timed_out")


@dataclass(slots=True)
class AgentLine:
    """One agent: what it does, since when, and what it has used."""

    name: str
    state: str = "waiting"
    doing: str = ""
    stage: int = 0
    last_event: float = 0.0
    retry_at: float = 0.0
    """When its model call is made again; 0 where none waits."""
    steps: int = 0
    tool_calls: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to come from it."""
        return self.state in _FINISHED

    def add(self, usage: Usage, cost_usd: float | None) -> None:
        """Count a model call; one of unknown price makes the cost unknown."""
        self.usage += usage
        known = self.cost_usd is not None and cost_usd is not None
        self.cost_usd = (self.cost_usd or 0) + (cost_usd or 0) if known else None


class SwarmView:
    """The state of a swarm as its records tell it. A record counted twice is counted once."""

    def __init__(self, run_id: str = "") -> None:
        self.run_id = run_id
        self.agents: dict[str, AgentLine] = {}
        self.phase = "starting"
        self.started_at: float | None = None
        self._subtasks: dict[str, str] = {}  # subtask id -> agent path
        self._seen: set[int] = set()

    def apply(self, record: Record) -> tuple[str, ...]:
        """Take one record in; return the lines that an append-only log says of it."""
        if record.seq >= 0:
            if record.seq in self._seen:
                return ()
            self._seen.add(record.seq)
        if self.started_at is None:
            self.started_at = record.time
        if record.agent in self.agents:
            self.agents[record.agent].last_event = record.time
            self.agents[record.agent].retry_at = 0.0
        return tuple(self._take(record))

    def _take(self, record: Record) -> Iterator[str]:
        match record.event:
            case e.SwarmStarted(strategy=strategy, base_note=note):
                self.phase = "planning"
                yield f"planning ({strategy}){f'; {note}' if note else ''}"
            case e.PlanMade(subtasks=subtasks, warnings=warnings):
                self.phase = "working"
                yield f"plan of {words.plural(len(subtasks), 'subtask')}"
                yield from (f"warning: {text}" for text in warnings)
            case e.SubtaskChanged() as event:
                yield self._move(event, record.time)
            case e.SubtaskMerged(name=name, status=status, detail=detail):
                self.phase = "merging"
                yield f"{name}: {_merged(status)}{f' ({detail})' if detail else ''}"
            case e.SwarmFinished(outcome=outcome):
                self.phase = outcome
                yield f"swarm {outcome}"
            case e.Warned(text=text):
                yield f"warning: {text}"
            case _:
                yield from self._take_agent(record, self._agent(record))

    def _take_agent(self, record: Record, agent: AgentLine) -> Iterator[str]:  # noqa: C901
        match record.event:
            case e.Queued(reason=reason):
                agent.state, agent.doing = "queued", reason
            case e.AgentStarted():
                agent.state, agent.doing = "running", "starting"
            case e.ModelRequested():
                agent.state, agent.doing = "running", "waiting for the model"
            case e.TextStreamed() | e.ReasoningStreamed():
                agent.doing = (
                    "answering" if isinstance(record.event, e.TextStreamed) else "thinking"
                )
            case e.ModelResponded(response=response):
                agent.steps += 1
                agent.add(response.usage, response.cost_usd)
                calls = response.message.tool_calls
                agent.tool_calls += len(calls)
                agent.doing = words.tool_call(calls[0], 60) if calls else "finishing"
            case e.Compacted(usage=usage, cost_usd=cost):
                agent.add(usage, cost)
            case e.ToolStarted(call=call):
                agent.doing = words.tool_call(call, 60)
            case e.Retrying(next_in_s=delay, reason=reason):
                agent.doing, agent.retry_at = words.one_line(reason, 60), record.time + delay
                yield f"{agent.name}: retry in {words.seconds(delay)}: {agent.doing}"
            case e.ModelFailed(error=error):
                yield f"{agent.name}: model call failed: {words.one_line(error, 200)}"
            case e.AgentRestarted(attempt=attempt, reason=reason):
                agent.state, agent.doing = "running", "restarting"
                yield f"{agent.name}: restarted (attempt {attempt}): {words.one_line(reason, 120)}"
            case e.TurnFinished(result=result):
                agent.state = "completed" if result.is_success else "failed"
                agent.doing = "" if result.is_success else result.outcome
            case _:
                pass

    def _agent(self, record: Record) -> AgentLine:
        if not record.agent or isinstance(record.event, e.RunStarted | e.RunFinished):
            return AgentLine("run")
        if record.agent not in self.agents:
            name = record.agent.removeprefix("sub/")
            self.agents[record.agent] = AgentLine(name, last_event=record.time)
        return self.agents[record.agent]

    def _move(self, event: e.SubtaskChanged, now: float) -> str:
        path = event.agent or self._subtasks.get(event.id) or f"sub/{event.name}"
        self._subtasks[event.id] = path
        agent = self.agents.setdefault(path, AgentLine(event.name))
        agent.name, agent.state, agent.stage = event.name, event.status, event.stage
        agent.last_event = now
        agent.doing = event.detail
        detail = f": {words.one_line(event.detail, 160)}" if event.detail else ""
        return f"{event.name}: {event.status.replace('_', ' ')}{detail}"

    @property
    def usage(self) -> Usage:
        """Tokens of all agents together."""
        return sum((agent.usage for agent in self.agents.values()), Usage())

    @property
    def cost_usd(self) -> float | None:
        """What all agents cost; None where a price is unknown."""
        costs = [agent.cost_usd for agent in self.agents.values()]
        return None if None in costs else sum(cost or 0 for cost in costs)

    def headline(self, now: float) -> str:
        """One line on the whole swarm."""
        parts = [f"swarm {self.run_id}".strip(), self.phase]
        if self._subtasks:
            over = sum(self.agents[path].is_over for path in self._subtasks.values())
            parts.append(f"{over}/{len(self._subtasks)} subtasks done")
        parts.append(f"{words.count(self.usage.total_tokens)} tokens")
        if self.cost_usd is not None and self.cost_usd > 0:
            parts.append(words.dollars(self.cost_usd))
        if self.started_at is not None:
            parts.append(words.seconds(now - self.started_at))
        return " · ".join(parts)

    def lines(self, now: float, height: int = 30, width: int = 100) -> list[str]:
        """The headline and one line per agent; the busy ones first where all do not fit."""
        agents = sorted(self.agents.values(), key=lambda a: (a.is_over, a.stage))
        shown = agents[: max(height - 2, 1)]
        out = [self.headline(now), *(_agent_line(agent, now, width) for agent in shown)]
        if len(shown) < len(agents):
            out.append(f"… and {len(agents) - len(shown)} more")
        return out


def _merged(status: str) -> str:
    sentences = {
        "merged": "merged",
        "resolved": "merged after a conflict was resolved",
        "empty": "changed nothing",
        "unmerged": "not merged; its branch is kept",
    }
    return sentences.get(status, status)


def _agent_line(agent: AgentLine, now: float, width: int) -> str:
    """Name, state, what it does, its last sign of life, its tokens: as much as `width` holds."""
    name = min(24, max(width // 4, 8))
    left = f"  {words.column(agent.name, name)} {agent.state.replace('_', ' '):10}"
    used = words.count(agent.usage.total_tokens)
    right = f" {used:>7}"
    if width >= _WIDE:
        right = f" {_sign(agent, now):>18} {used + ' tokens':>14}"
    elif width >= _MEDIUM:
        right = f" {_sign(agent, now):>18} {used:>7}"
    room = width - len(left) - len(right) - 1
    wait = f"retry in {words.seconds(agent.retry_at - now)}: " if agent.retry_at else ""
    doing = wait + agent.doing if room >= _LEAST_DOING else ""
    return f"{left} {words.column(doing, max(room, 0))}{right}"


def _sign(agent: AgentLine, now: float) -> str:
    if agent.is_over:
        return ""
    age = now - agent.last_event
    is_silent = agent.state == "running" and age > _SILENT_AFTER_S
    return f"silent for {words.seconds(age)}" if is_silent else f"{words.seconds(age)} ago"
