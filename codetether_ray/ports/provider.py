"""Models."""

from collections.abc import AsyncGenerator
from typing import Protocol

from codetether_ray.core.models import ModelInfo, ModelRequest, StreamEvent


class Provider(Protocol):
    """Talks to one vendor (or tape) in its wire format."""

    @property
    def name(self) -> str:
        """The provider's id, as in `provider/model`."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """Ask, and yield what comes; the last event is `Finished`.

        After a `RetryScheduled` everything streamed before it is void. Closing the generator
        (`aclose`) ends the call on the wire.

        Raises:
            CodetetherError: a `ModelError`, `CredentialsError` or `TapeDepartureError`.
        """
        ...

    def info(self, model: str) -> ModelInfo | None:
        """What is known of `model` without asking anyone; None if nothing."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...
