"""A provider that replays a tape, for many agents at once.

`tape/FILE` as a model replays FILE. `tape/FILE?delay=0.2` waits that many seconds before each
answer, `?delay=0.1..0.5&seed=7` a time between, drawn from agent, step and seed alone.
"""

import random
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs

from codetether_ray.core.errors import TapeDepartureError, TapeError
from codetether_ray.core.messages import Part, Reasoning, Text, ToolCall
from codetether_ray.core.models import (
    Finished,
    ModelInfo,
    ModelRequest,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
)
from codetether_ray.ports.clock import Clock
from codetether_ray.providers.catalog import find
from codetether_ray.providers.tape_compare import difference
from codetether_ray.providers.tape_export import tape_from_records
from codetether_ray.providers.tape_format import (
    NORMALISERS,
    Normaliser,
    Tape,
    TapeEntry,
    load,
)

__all__ = [
    "NORMALISERS",
    "Normaliser",
    "Tape",
    "TapeEntry",
    "TapeProvider",
    "load",
    "open_tape",
    "tape_from_records",
]

Delay = float | Callable[[ModelRequest], float]

_PIECE = 24  # characters that one streamed event carries
_OPTIONS = re.compile(r"\?((?:delay|seed)=[^?]*)$")


class TapeProvider:
    """Answers each call with what the tape holds for its agent and step.

    A request that is not the recorded one raises `TapeDepartureError` with the difference; nothing
    is ever answered that was not recorded for exactly that call.
    """

    name = "tape"

    def __init__(self, tape: Tape, *, clock: Clock, model: str = "", delay_s: Delay = 0.0) -> None:
        self._tape = tape
        self._clock = clock
        self._model = model
        self._delay_s = delay_s

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """Replay one answer in pieces."""
        entry = self._tape.by_call.get((request.agent, request.step))
        if entry is None:
            raise TapeDepartureError(request.agent, request.step, self._missing(request.agent))
        differs = difference(self._tape, entry, request, self._model)
        if differs:
            raise TapeDepartureError(request.agent, request.step, differs)
        delay = self._delay_s(request) if callable(self._delay_s) else self._delay_s
        if delay:
            await self._clock.sleep(delay)
        for event in _events(entry.response.message.parts):
            yield event
        yield Finished(response=entry.response)

    def info(self, model: str) -> ModelInfo | None:
        """What is known of the recorded model, so that a replay has its window and price."""
        provider, _, recorded = self._tape.model.partition("/")
        return find(provider, recorded)

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def _missing(self, agent: str) -> str:
        steps = [entry.step for entry in self._tape.entries if entry.agent == agent]
        if steps:
            return f"the tape holds {len(steps)} calls of this agent, the last is step {steps[-1]}"
        agents = sorted({entry.agent for entry in self._tape.entries})
        return f"the tape holds no call of this agent; it has {', '.join(agents) or 'none'}"


def open_tape(model: str, *, clock: Clock) -> TapeProvider:
    """The provider for `tape/{model}`: a file, perhaps with `?delay=…`. Relative to the process.

    Raises:
        TapeError: the file is no tape, or an option makes no sense.
    """
    options = _OPTIONS.search(model)
    file = model[: options.start()] if options else model
    delay = _delay(model, parse_qs(options[1])) if options else 0.0
    return TapeProvider(load(Path(file)), clock=clock, model=model, delay_s=delay)


def _delay(model: str, options: dict[str, list[str]]) -> Delay:
    low, _, high = options.get("delay", ["0"])[-1].partition("..")
    seed = options.get("seed", ["0"])[-1]
    try:
        least, most = float(low), float(high or low)
    except ValueError:
        raise TapeError(
            model, "delay is SECONDS or FROM..TO, for example ?delay=0.1..0.5"
        ) from None
    if least == most:
        return least

    def drawn(request: ModelRequest) -> float:
        return random.Random(f"{seed}|{request.agent}|{request.step}").uniform(least, most)

    return drawn


def _events(parts: tuple[Part, ...]) -> Iterator[StreamEvent]:
    calls = 0
    for part in parts:
        if isinstance(part, Text):
            yield from (TextDelta(text=piece) for piece in _pieces(part.text))
        elif isinstance(part, Reasoning):
            yield from (ReasoningDelta(text=piece) for piece in _pieces(part.text))
        elif isinstance(part, ToolCall):
            yield ToolCallDelta(index=calls, name=part.name)
            for piece in _pieces(part.arguments):
                yield ToolCallDelta(index=calls, arguments=piece)
            calls += 1


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]
