"""Why somebody is not let in, or may not do what they ask for."""

from codetether_ray.core.root_error import CodetetherError


class AccessError(CodetetherError):
    """A request is refused for who asks, not for what it holds."""

    exit_code = 4


class UnauthenticatedError(AccessError):
    """No token, or none that is valid: HTTP 401, gRPC UNAUTHENTICATED.

    `word` is RFC 6750's: empty where no token was shown, `invalid_request` where it could not be
    read, `invalid_token` where it is unknown, expired or revoked (which of them is not told).
    """

    def __init__(
        self, word: str = "", detail: str = "a bearer token is needed for authentication"
    ) -> None:
        super().__init__(word, detail)
        self.word, self.detail = word, detail

    def __str__(self) -> str:
        return self.detail


class ForbiddenError(AccessError):
    """Somebody known may not do this: HTTP 403, gRPC PERMISSION_DENIED."""

    def __init__(self, permission: str, detail: str = "") -> None:
        super().__init__(permission, detail)
        self.permission, self.detail = permission, detail

    def __str__(self) -> str:
        return self.detail or f"this needs the permission {self.permission}"


class TooManyFailuresError(AccessError):
    """An address failed to authenticate too often: HTTP 429, gRPC RESOURCE_EXHAUSTED."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return (
            "too many requests without a valid token came from your address; send a valid one, or "
            f"wait {self.retry_after_s} s"
        )


class AuthUnavailableError(AccessError):
    """Whether a token is valid cannot be told now: HTTP 503, gRPC UNAVAILABLE."""

    def __str__(self) -> str:
        return "tokens cannot be checked now: the head does not answer; try again in a moment"
