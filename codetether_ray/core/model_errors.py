"""What goes wrong with models: none is named, no key, a refusal, a tape of answers."""

from typing import ClassVar

from codetether_ray.core.root_error import CodetetherError


class NoModelError(CodetetherError):
    """No model was named and no provider has a key."""

    exit_code = 4

    def __str__(self) -> str:
        return (
            "no model to talk to: add a key with `codetether auth set anthropic`, or start an "
            "OpenAI-compatible server and use `--model local/MODEL`, or try `./scripts/demo`"
        )


class UnknownProviderError(CodetetherError):
    """A model reference names a provider that does not exist."""

    exit_code = 2

    def __init__(self, provider: str, known: tuple[str, ...]) -> None:
        super().__init__(provider, known)
        self.provider, self.known = provider, known

    def __str__(self) -> str:
        return f"no provider {self.provider!r}; there are {', '.join(self.known)}"


class CredentialsError(CodetetherError):
    """A provider has no key, or refused it."""

    exit_code = 4

    def __init__(self, provider: str, detail: str) -> None:
        super().__init__(provider, detail)
        self.provider, self.detail = provider, detail

    def __str__(self) -> str:
        fix = f"set one with `codetether auth set {self.provider}`"
        return f"{self.provider}: {self.detail}; {fix}"


class KeyAwayError(CodetetherError):
    """A run on a cluster needs a provider's key, and the command that has it is gone."""

    exit_code = 4

    def __init__(self, provider: str, run_id: str, verb: str) -> None:
        super().__init__(provider, run_id, verb)
        self.provider, self.run_id, self.verb = provider, run_id, verb

    def __str__(self) -> str:
        return (
            f"{self.provider}: its key is in no memory of the cluster any more, and the command "
            f"that had it is gone; `codetether {self.verb} --resume {self.run_id}` where the key "
            "is brings it back"
        )


class ModelError(CodetetherError):
    """A model call failed. `is_retryable` says whether the same call may work later."""

    is_retryable: ClassVar[bool] = False

    def __init__(self, provider: str, detail: str) -> None:
        super().__init__(provider, detail)
        self.provider, self.detail = provider, detail

    def __str__(self) -> str:
        return f"{self.provider}: {self.detail}"


class ModelRefusedError(ModelError):
    """The provider answered with a status that repeating cannot mend (400, 404, 413, 422 …)."""

    def __init__(self, provider: str, detail: str, status: int) -> None:
        CodetetherError.__init__(self, provider, detail, status)
        self.provider, self.detail, self.status = provider, detail, status

    def __str__(self) -> str:
        sentence = f"{self.provider} answered {self.status}: {self.detail}"
        if self.status == 404:
            sentence += f"; `codetether models --provider {self.provider}` lists models"
        return sentence


class ContextOverflowError(ModelError):
    """The prompt is longer than the model's window."""


class ModelUnavailableError(ModelError):
    """The provider is busy or broken (429, 5xx); `retry_after_s` where it said."""

    is_retryable = True

    def __init__(
        self, provider: str, detail: str, status: int, retry_after_s: float | None = None
    ) -> None:
        CodetetherError.__init__(self, provider, detail, status, retry_after_s)
        self.provider, self.detail = provider, detail
        self.status, self.retry_after_s = status, retry_after_s

    def __str__(self) -> str:
        return f"{self.provider} answered {self.status}: {self.detail}"


class QuotaSpentError(ModelError):
    """A day's (or month's) quota is spent; waiting minutes does not help."""

    def __init__(self, provider: str, detail: str, resets_in_s: float | None = None) -> None:
        CodetetherError.__init__(self, provider, detail, resets_in_s)
        self.provider, self.detail, self.resets_in_s = provider, detail, resets_in_s

    def __str__(self) -> str:
        sentence = f"{self.provider}: the quota is spent ({self.detail})"
        if self.resets_in_s is None:
            return sentence
        span = f"{self.resets_in_s:.0f} s"
        return f"{sentence}; it resets in {span}, and `--wait-quota TIME` waits for that"


class ConnectionLostError(ModelError):
    """The connection could not be made, or broke, or fell silent."""

    is_retryable = True


class MalformedResponseError(ModelError):
    """The provider's bytes are not its protocol."""

    is_retryable = True


class TapeError(CodetetherError):
    """A tape cannot be read: where, and why."""

    exit_code = 2

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(path, detail)
        self.path, self.detail = path, detail

    def __str__(self) -> str:
        return f"cannot replay the tape {self.path}: {self.detail}"


class TapeDepartureError(CodetetherError):
    """A replayed run asked for something else than was recorded."""

    def __init__(self, agent: str, step: int, difference: str) -> None:
        super().__init__(agent, step, difference)
        self.agent, self.step, self.difference = agent, step, difference

    def __str__(self) -> str:
        return f"the run departs from its tape at {self.agent}, step {self.step}: {self.difference}"
