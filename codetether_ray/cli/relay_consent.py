"""Asks a person whether an objective shall be pursued: approve, deny, or edit."""

import asyncio
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

import click

from codetether_ray.cli import words
from codetether_ray.cli.live import Progress
from codetether_ray.cli.swarm_consent import typed_line
from codetether_ray.core.errors import CodetetherError

if TYPE_CHECKING:
    from codetether_ray.bootstrap.relay.gate import OkrAnswer, OkrQuestion
    from codetether_ray.core.okrs import KeyResult, Okr

_WORDS = {
    "a": "approve", "approve": "approve", "y": "approve", "yes": "approve",
    "d": "deny", "deny": "deny", "n": "deny", "no": "deny",
    "e": "edit", "edit": "edit",
}  # fmt: skip


class OkrConsent:
    """Shows a draft and asks for a word on it, where there is somebody to ask."""

    def __init__(
        self, progress: Progress, *, stdin: TextIO = sys.stdin, stderr: TextIO = sys.stderr
    ) -> None:
        self._progress = progress
        self._stdin, self._stderr = stdin, stderr

    async def ask(self, question: "OkrQuestion") -> "OkrAnswer":
        """What is said to it; `nobody` where nobody sits here, or their input ended."""
        self._progress.pause()
        try:
            return await self._asked(question)
        finally:
            self._progress.go_on()

    async def _asked(self, question: "OkrQuestion") -> "OkrAnswer":
        from codetether_ray.bootstrap.relay.gate import OkrAnswer

        for line in okr_lines(question.okr):
            self._say(line)
        if not (self._stdin.isatty() and self._stderr.isatty()):
            self._say(f"nobody can be asked here; {how_to_decide(question.run.id)}")
            return OkrAnswer(word="nobody")
        while True:
            said = await self._typed("Pursue this? [a]pprove, [d]eny, [e]dit: ")
            if said is None:
                self._say(f"\nnothing was decided; {how_to_decide(question.run.id)}")
                return OkrAnswer(word="nobody")
            word = _WORDS.get(said.lower())
            if word == "approve":
                return OkrAnswer(word="approve")
            if word == "deny":
                return await self._denied()
            if word == "edit" and (okr := await self._edited(question.okr)) is not None:
                return OkrAnswer(word="edit", okr=okr)

    async def _denied(self) -> "OkrAnswer":
        from codetether_ray.bootstrap.relay.gate import OkrAnswer

        intent = await self._typed("What do you want instead? (nothing: leave it) ")
        return OkrAnswer(word="deny", intent=intent or "")

    async def _edited(self, okr: "Okr") -> "Okr | None":
        from codetether_ray.cli.okr_gate import edit

        editing = asyncio.ensure_future(asyncio.to_thread(edit, okr))
        try:
            edited = await asyncio.shield(editing)
        except asyncio.CancelledError:
            await asyncio.wait({editing})  # the editor has the terminal
            raise
        except (click.ClickException, CodetetherError) as error:
            self._say(f"not taken: {getattr(error, 'message', error)}")
            return None
        return edited if edited != okr else None

    async def _typed(self, prompt: str) -> str | None:
        """What is typed; None at the end of input."""
        self._stderr.write(prompt)
        self._stderr.flush()
        try:
            line = await typed_line(self._stdin)
        except asyncio.CancelledError:
            self._say("")
            raise
        return line.strip() if line else None

    def _say(self, line: str) -> None:
        self._stderr.write(line + "\n")
        self._stderr.flush()


def how_to_decide(run_id: str) -> str:
    """What to type where nobody could be asked."""
    return f"`codetether okr approve --id {run_id}` approves it; `--yes` does so beforehand"


def okr_lines(okr: "Okr") -> Iterator[str]:
    """All that is approved or denied."""
    yield f"objective: {words.one_line(okr.title, 400)}"
    for line in okr.description.splitlines():
        yield f"  {words.one_line(line, 400)}"
    for number, key_result in enumerate(okr.key_results, 1):
        yield from _key_result(number, key_result)


def _key_result(number: int, key_result: "KeyResult") -> Iterator[str]:
    from codetether_ray.core.measures import RubricMeasure
    from codetether_ray.okr.terms import describe

    better = "at most" if key_result.direction == "lower" else "at least"
    target = f"{better} {key_result.target_value:g} {key_result.unit}".rstrip()
    yield f"  {number}. {words.one_line(key_result.title, 200)}: {target}"
    yield f"     measured by {words.one_line(describe(key_result.measure), 1000)}"
    if isinstance(key_result.measure, RubricMeasure):
        for criterion in key_result.measure.criteria:
            yield f"     - {words.one_line(criterion, 400)}"
