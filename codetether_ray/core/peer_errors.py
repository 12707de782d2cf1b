"""What goes wrong between this program and another agent that it talks with."""

from codetether_ray.core.root_error import CodetetherError


class PeerError(CodetetherError):
    """Another agent does not answer, or not as the protocol has it; `detail` says what happened."""

    http_status = 502

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(url, detail)
        self.url, self.detail = url, detail

    def __str__(self) -> str:
        return f"{self.url}: {self.detail}"


class PeerAccessError(PeerError):
    """Another agent wants a token, or does not let this one do what was asked."""

    exit_code = 4
