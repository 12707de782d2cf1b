"""One model call: reserved before it, streamed, settled after it."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from codetether_ray.agent import tokens
from codetether_ray.agent.parts import AgentParts
from codetether_ray.agent.text import clean
from codetether_ray.core.errors import (
    BudgetSpentError,
    MalformedResponseError,
    UnknownPriceError,
)
from codetether_ray.core.events import Event, ReasoningStreamed, Retrying, TextStreamed
from codetether_ray.core.messages import Part, Reasoning, Text, ToolCall
from codetether_ray.core.models import (
    Finished,
    ModelRequest,
    ModelResponse,
    ReasoningDelta,
    RetryScheduled,
    StreamEvent,
    TextDelta,
)
from codetether_ray.core.spec import AgentSpec
from codetether_ray.core.usage import Price, Spend, Usage
from codetether_ray.ports.ledger import Reservation

DEFAULT_WINDOW = 128_000
"""Tokens of context where a model's window is unknown."""

LEAST_OUTPUT = 256
"""Tokens of output below which a call is not worth making."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """What is known of an agent's model: sizes in tokens."""

    window: int
    max_output: int
    price: Price | None

    @property
    def room(self) -> int:
        """The longest prompt that leaves room for an answer, and a fiftieth for misjudgement."""
        return self.window - self.max_output - self.window // 50


def model_limits(spec: AgentSpec, parts: AgentParts) -> ModelLimits:
    """The limits of a spec's model; an answer never takes more than a quarter of the window."""
    info = parts.provider.info(model_name(spec))
    window = spec.context_window or (info.context_window if info is not None else DEFAULT_WINDOW)
    wanted = min(spec.max_output_tokens, max(window // 4, LEAST_OUTPUT))
    if info is not None and info.max_output_tokens > 0:
        wanted = min(wanted, info.max_output_tokens)
    return ModelLimits(
        window=window, max_output=wanted, price=info.price if info is not None else None
    )


def model_name(spec: AgentSpec) -> str:
    """The model's name without its provider."""
    return spec.model.partition("/")[2] or spec.model


@dataclass(slots=True)
class Grant:
    """What one call may use, and what it came to (nothing, until something was said)."""

    reservation: Reservation
    prompt_tokens: int
    max_tokens: int
    spent: Spend = field(default_factory=Spend)
    cut: Usage = field(default_factory=Usage)
    """An estimate of what a call took that gave no answer."""


class Asker:
    """Makes the model calls of one agent, within the run's budget."""

    def __init__(self, parts: AgentParts, limits: ModelLimits, spec: AgentSpec) -> None:
        self._parts = parts
        self._limits = limits
        self._model = spec.model
        self._owner = spec.path
        self._is_priced = False

    @asynccontextmanager
    async def reserved(self, prompt_tokens: int, max_tokens: int) -> AsyncIterator["Grant"]:
        """Set aside the worst case of a call while in it, and settle on leaving.

        Where the budget does not hold `max_tokens` of output, fewer are granted, but not less
        than 256.

        Raises:
            BudgetSpentError: not even that fits.
            UnknownPriceError: the budget is in dollars and the model has no price.
        """
        grant = await self._reserve(prompt_tokens, max_tokens)
        try:
            yield grant
        finally:
            await self._parts.links.ledger.settle(grant.reservation, grant.spent)

    async def ask(self, request: ModelRequest, grant: "Grant") -> ModelResponse:
        """Stream an answer and publish its pieces; every answer has a usage and a cost.

        Raises:
            CodetetherError: what the provider raised.
        """
        pieces = _Pieces(request.step, self._parts.links.publisher.emit)
        try:
            response = await self._stream(request, pieces)
        finally:
            if pieces.characters:  # if it is cut off, the provider bills what it had said
                said = pieces.characters // tokens.CHARS_PER_TOKEN + 1
                grant.spent = worst_case(grant.prompt_tokens, said, self._limits.price)
                grant.cut = Usage(prompt_tokens=grant.prompt_tokens, completion_tokens=said)
        response = self._counted(response, grant.prompt_tokens)
        grant.spent = Spend(tokens=response.usage.total_tokens, usd=response.cost_usd or 0.0)
        return response

    async def _reserve(self, prompt_tokens: int, max_tokens: int) -> "Grant":
        await self._check_price()
        ledger = self._parts.links.ledger
        while True:
            try:
                worst = worst_case(prompt_tokens, max_tokens, self._limits.price)
                reservation = await ledger.reserve(worst, self._owner)
            except BudgetSpentError as error:
                fits = affordable(error, prompt_tokens, max_tokens, self._limits.price)
                if fits < LEAST_OUTPUT:
                    raise
                max_tokens = fits
            else:
                return Grant(reservation, prompt_tokens, max_tokens)

    async def _stream(self, request: ModelRequest, pieces: "_Pieces") -> ModelResponse:
        async with aclosing(self._parts.provider.stream(request)) as stream:
            async for event in stream:
                if isinstance(event, Finished):
                    return _cleaned(event.response)
                pieces.take(event)
        raise MalformedResponseError(
            self._parts.provider.name, "the stream ended without an answer"
        )

    def _counted(self, response: ModelResponse, prompt_tokens: int) -> ModelResponse:
        """The response with a usage (estimated if the provider told none) and its cost."""
        usage = response.usage
        if usage.total_tokens == 0:
            said = tokens.of_message(response.message)
            usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=said)
        cost, price = response.cost_usd, self._limits.price
        if cost is None and price is not None:
            cost = price.cost_usd(usage)
        if usage is response.usage and cost == response.cost_usd:
            return response
        return replace(response, usage=usage, cost_usd=cost)

    async def _check_price(self) -> None:
        if self._is_priced:
            return
        if self._limits.price is None:
            budget = await self._parts.links.ledger.limits()
            if budget.usd is not None:
                raise UnknownPriceError(self._model)
        self._is_priced = True


def worst_case(prompt_tokens: int, max_tokens: int, price: Price | None) -> Spend:
    """The most that a call can come to: nothing cached, all output used."""
    usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=max_tokens)
    usd = 0.0
    if price is not None:
        written = replace(usage, cache_write_tokens=prompt_tokens)
        usd = max(price.cost_usd(usage), price.cost_usd(written))
    return Spend(tokens=usage.total_tokens, usd=usd)


def affordable(
    error: BudgetSpentError, prompt_tokens: int, max_tokens: int, price: Price | None
) -> int:
    """The output tokens for which the rest of a budget would do, fewer than `max_tokens`."""
    left = error.limit - error.spent
    if error.what == "tokens":
        fits = left - prompt_tokens
    elif error.what == "US dollars" and price is not None:
        prompt = worst_case(prompt_tokens, 0, price).usd
        per_token = (worst_case(prompt_tokens, max_tokens, price).usd - prompt) / max_tokens
        fits = (left - prompt) / per_token if per_token > 0 else 0
    else:
        fits = 0
    return min(int(fits), max_tokens - 1)


class _Pieces:
    """Publishes what streams in and counts it; a retry voids what came before."""

    def __init__(self, step: int, emit: Callable[[Event], None]) -> None:
        self._step = step
        self._emit = emit
        self.characters = 0

    def take(self, event: StreamEvent) -> None:
        """Publish one event of a stream."""
        if isinstance(event, TextDelta):
            self._emit(TextStreamed(step=self._step, text=clean(event.text)))
            self.characters += len(event.text)
        elif isinstance(event, ReasoningDelta):
            self._emit(ReasoningStreamed(step=self._step, text=clean(event.text)))
            self.characters += len(event.text)
        elif isinstance(event, RetryScheduled):
            self._emit(
                Retrying(
                    step=self._step,
                    attempt=event.attempt,
                    next_in_s=event.delay_s,
                    reason=event.reason,
                    status=event.status,
                )
            )
            self.characters = 0
        elif not isinstance(event, Finished):
            self.characters += len(event.arguments)


def _cleaned(response: ModelResponse) -> ModelResponse:
    """The response with lone surrogates replaced; opaque blocks stay as they came."""
    message = response.message
    parts = tuple(_cleaned_part(part) for part in message.parts)
    if all(new is old for new, old in zip(parts, message.parts, strict=True)):
        return response
    return replace(response, message=replace(message, parts=parts))


def _cleaned_part(part: Part) -> Part:
    if isinstance(part, (Text, Reasoning)):
        text = clean(part.text)
        return part if text is part.text else replace(part, text=text)
    if isinstance(part, ToolCall):
        arguments = clean(part.arguments)
        return part if arguments is part.arguments else replace(part, arguments=arguments)
    return part
