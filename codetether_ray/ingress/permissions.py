"""What each route, RPC and JSON-RPC method needs. What stands nowhere here is not answered."""


def of_http(method: str, path: str) -> str | None:
    """The permission of a request; None where there is none."""
    raise NotImplementedError


def of_grpc(method: str) -> str | None:
    """The permission of an RPC, `/package.Service/Method`; None where there is none."""
    raise NotImplementedError


def of_rpc(method: str) -> str | None:
    """The permission of a JSON-RPC method, `SendMessage` or `message/send`; None: no such one."""
    raise NotImplementedError
