"""A rubric judged by a second model, which may look at the measured tree and change nothing."""

from dataclasses import replace
from pathlib import Path

from codetether_ray.core.measures import MeasureAt
from codetether_ray.core.messages import user
from codetether_ray.core.okrs import KeyResult
from codetether_ray.core.spec import AgentSpec
from codetether_ray.okr.rubric import JUDGE_ROLE, JUDGE_SCHEMA, judge_request
from codetether_ray.ports.runtime import AgentRuntime


class ModelJudge:
    """Asks an agent of the run: its turn is in the run's journal, what it costs in its budget."""

    def __init__(
        self, runtime: AgentRuntime, template: AgentSpec, tools: tuple[str, ...] = ()
    ) -> None:
        """`template` is what the run's agents share; `tools` are for reading."""
        self._runtime, self._template, self._tools = runtime, template, tools

    async def answer(
        self,
        key_result: KeyResult,
        number: int,
        at: MeasureAt,
        root: Path,
        criteria: tuple[str, ...],
        diff: str,
    ) -> str:
        """What the judge says of the `number`-th key result (from 1).

        Raises:
            ValueError: it did not end well.
            CodetetherError: what the runtime raises.
        """
        spec = replace(
            self._template,
            path=f"aide/judge-{number}-{at.turn}",
            kind="aide",
            name="judge",
            root=str(root),
            instructions=JUDGE_ROLE,
            tools=self._tools,
            depth=1,
            output_schema=JUDGE_SCHEMA,
            tree="",
            hub="",
        )
        turn = await self._runtime.run(spec, user(judge_request(key_result, criteria, diff)))
        if not turn.is_success:
            raise ValueError(f"the judge ended with {turn.outcome} ({turn.error or 'no reason'})")
        return turn.text
