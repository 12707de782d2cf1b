"""What goes wrong where an ingress begins to listen, or is started on a cluster."""

from codetether_ray.core.root_error import CodetetherError


class PortTakenError(CodetetherError):
    """Somebody else listens on a port that was asked for."""

    def __init__(self, host: str, port: int, option: str) -> None:
        super().__init__(host, port, option)
        self.host, self.port, self.option = host, port, option

    def __str__(self) -> str:
        return (
            f"port {self.port} of {self.host} is taken by another program (another `codetether "
            f"serve`?); choose another with {self.option}, or end that one"
        )


class AddressError(CodetetherError):
    """An address to listen on is none of this machine's, or may not be used."""

    exit_code = 2

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(host, port, reason)
        self.host, self.port, self.reason = host, port, reason

    def __str__(self) -> str:
        return (
            f"cannot listen on {self.host} port {self.port}: {self.reason}; --hostname names an "
            "address or a name of this machine"
        )


class ServesAlreadyError(CodetetherError):
    """An ingress runs on the cluster already, with other settings."""

    def __init__(self, where: str, since: str, differs: str) -> None:
        super().__init__(where, since, differs)
        self.where, self.since, self.differs = where, since, differs

    def __str__(self) -> str:
        return (
            f"an ingress runs on this cluster already, at {self.where}, since {self.since} "
            f"(other {self.differs}); `codetether serve stop` ends it"
        )


class ServesHereError(CodetetherError):
    """An ingress of this data directory runs already, in another process' foreground."""

    def __init__(self, where: str, pid: int) -> None:
        super().__init__(where, pid)
        self.where, self.pid = where, pid

    def __str__(self) -> str:
        return (
            f"`codetether serve` runs already, in process {self.pid}, at {self.where}; Ctrl-C "
            "there or `codetether serve stop` ends it"
        )
