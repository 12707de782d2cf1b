"""Measures key results where a run lives: each in a clean tree of the commit that is measured.

What measures (the files that a measure names, the scripts that its command runs) is as it was
when the key results were approved; the agents cannot reach it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from codetether_ray.agent.instructions import NAME
from codetether_ray.bootstrap.measuring.http import get
from codetether_ray.bootstrap.measuring.patterns import last_group
from codetether_ray.bootstrap.measuring.rubric import ModelJudge
from codetether_ray.bootstrap.measuring.tree import CleanTree, Source
from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.masking import Masker
from codetether_ray.core.measures import (
    CommandMeasure,
    FileMeasure,
    HttpMeasure,
    KrReading,
    MeasureAt,
    RubricMeasure,
)
from codetether_ray.core.okrs import KeyResult
from codetether_ray.okr.parsers import (
    find_json,
    number_at,
    number_matched,
    refuse_failed,
    value_of_output,
)
from codetether_ray.okr.rubric import judged
from codetether_ray.okr.scripts import names_in, scripts_in
from codetether_ray.okr.stamps import moment
from codetether_ray.okr.terms import describe
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.sandbox import Completed, Sandbox
from codetether_ray.workspace.prepare import Preparation

_OUTPUT_BYTES = 1_000_000
"""Of a command's output that is read for its value."""
_TAIL_CHARS = 2_000
"""Of it that is kept as evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringTerms:
    """What a run's measurements have in common."""

    source: Source
    scratch: Path
    """The directory that is made, and deleted, for clean trees; the run's own."""
    setup: str = ""
    copy: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    """Of the commands."""


class Measurer:
    """Implements `ports.measuring.Measure`. One measurement at a time."""

    def __init__(
        self,
        key_results: tuple[KeyResult, ...],
        terms: MeasuringTerms,
        sandbox: Sandbox,
        clock: Clock,
        *,
        judge: ModelJudge | None = None,
        mask: Callable[[str], str] | None = None,
        on_output: Callable[[KeyResult, str], None] | None = None,
    ) -> None:
        """`judge` is needed for rubrics; `on_output` is told what commands print, as they do."""
        self._key_results, self._terms = key_results, terms
        self._sandbox, self._clock, self._judge = sandbox, clock, judge
        self._mask = mask or Masker(())
        self._on_output = on_output
        self._turn = asyncio.Lock()

    async def __call__(self, at: MeasureAt) -> tuple[KrReading, ...]:
        """One reading of each key result, in their order; what fails is a reading without value."""
        preparation = Preparation(
            setup=self._terms.setup, copy=self._terms.copy, sandbox=self._sandbox
        )
        root = self._terms.scratch / f"turn-{at.turn}"
        async with self._turn:
            tree = CleanTree(self._terms.source, root, preparation)
            try:
                return await self._measured(tree, at)
            finally:
                await tree.remove()

    async def _measured(self, tree: CleanTree, at: MeasureAt) -> tuple[KrReading, ...]:
        try:
            await tree.make(at.commit)
        except (CodetetherError, OSError) as error:
            problem = f"no clean tree of {at.commit[:12]} could be made: {error}"
            return tuple(replace(self._blank(kr, at), reason=problem) for kr in self._key_results)
        return tuple(
            [
                await self._one(kr, number, tree, at)
                for number, kr in enumerate(self._key_results, 1)
            ]
        )

    async def _one(
        self, key_result: KeyResult, number: int, tree: CleanTree, at: MeasureAt
    ) -> KrReading:
        blank, began = self._blank(key_result, at), self._clock.monotonic()
        try:
            await tree.clean()
            found = await self._ask(key_result, number, tree, at, blank)
        except (CodetetherError, OSError, ValueError) as error:
            found = replace(blank, reason=self._mask(str(error)))
        return replace(
            found,
            elapsed_s=round(self._clock.monotonic() - began, 3),
            measured_at=moment(self._clock.now()),
        )

    async def _ask(
        self, key_result: KeyResult, number: int, tree: CleanTree, at: MeasureAt, blank: KrReading
    ) -> KrReading:
        match key_result.measure:
            case CommandMeasure() as measure:
                return await self._command(key_result, measure, tree, at, blank)
            case FileMeasure() as measure:
                found = _file(measure, tree, blank)
                return replace(found, reason=self._mask(found.reason))
            case HttpMeasure() as measure:
                return await self._http(measure, blank)
            case RubricMeasure(criteria=criteria):
                return await self._rubric(key_result, number, criteria, tree, at, blank)
            case _:
                raise ValueError("nobody said how it is measured")

    async def _command(
        self,
        key_result: KeyResult,
        measure: CommandMeasure,
        tree: CleanTree,
        at: MeasureAt,
        blank: KrReading,
    ) -> KrReading:
        wanted = tuple(dict.fromkeys((*measure.files, *scripts_in(measure.command))))
        restored = await tree.restore(wanted, at.approved)
        rules = await tree.rules_as_approved(at.approved, but=names_in(measure.command))
        told = self._on_output
        done = await self._sandbox.run(
            measure.command,
            cwd=tree.cwd,
            env=self._terms.env,
            timeout_s=measure.timeout_s,
            max_output_bytes=_OUTPUT_BYTES,
            on_output=None if told is None else (lambda text: told(key_result, self._mask(text))),
        )
        tail = self._mask(done.output)[-_TAIL_CHARS:].strip()
        found = replace(
            blank,
            restored=tuple(dict.fromkeys((*restored, *rules))),
            exit_code=done.exit_code,
            evidence=(tail,) if tail else (),
        )
        if done.timed_out:
            return replace(found, reason=f"the command took over {measure.timeout_s:g} s")
        try:
            return replace(found, value=await self._value(measure, done, tree.cwd))
        except ValueError as error:
            return replace(found, reason=self._mask(str(error)))

    async def _value(self, measure: CommandMeasure, done: Completed, cwd: Path) -> float:
        if measure.parse != "regex":
            return value_of_output(measure, done.exit_code, done.output)
        refuse_failed(measure, done.exit_code)
        found = await last_group(self._sandbox, measure.pattern, done.output, cwd)
        return number_matched(measure.pattern, found)

    async def _http(self, measure: HttpMeasure, blank: KrReading) -> KrReading:
        answer = await get(measure)
        seen = (f"status {answer.status}", self._mask(answer.text)[:_TAIL_CHARS].strip())
        found = replace(blank, evidence=tuple(filter(None, seen)))
        if not measure.json_path:
            return replace(found, value=1.0 if answer.status == measure.status else 0.0)
        if answer.status != measure.status:
            return replace(found, reason=f"it answered {answer.status}")
        found = _valued(found, answer.text, measure.json_path)
        return replace(found, reason=self._mask(found.reason))

    async def _rubric(
        self,
        key_result: KeyResult,
        number: int,
        criteria: tuple[str, ...],
        tree: CleanTree,
        at: MeasureAt,
        blank: KrReading,
    ) -> KrReading:
        if self._judge is None:
            raise ValueError("there is no model that could judge it")
        await tree.as_approved(NAME, at.approved)  # the judge would follow what agents wrote there
        diff = await tree.diff(at.approved)
        answer = await self._judge.answer(key_result, number, at, tree.cwd, criteria, diff)
        found = judged(answer, criteria, diff, tree.text)
        evidence = tuple(self._mask(line) for line in found.evidence)
        return replace(blank, value=float(found.met), evidence=evidence)

    def _blank(self, key_result: KeyResult, at: MeasureAt) -> KrReading:
        return KrReading(
            kr_id=key_result.id,
            turn=at.turn,
            commit=at.commit,
            source=self._mask(describe(key_result.measure)),
        )


def _file(measure: FileMeasure, tree: CleanTree, blank: KrReading) -> KrReading:
    text = tree.text(measure.path)
    if measure.json_path:
        if text is None:
            return replace(blank, reason=f"there is no file {measure.path}")
        return _valued(blank, text, measure.json_path)
    if not measure.contains:
        return replace(blank, value=1.0 if tree.has(measure.path) else 0.0)
    is_there = text is not None and measure.contains in text
    return replace(blank, value=1.0 if is_there else 0.0)


def _valued(found: KrReading, text: str, json_path: str) -> KrReading:
    """The reading with the number at a path of a JSON text, or why there is none."""
    try:
        return replace(found, value=number_at(find_json(text), json_path))
    except ValueError as error:
        return replace(found, reason=str(error))
