"""The one gate, for HTTP and gRPC: who comes in, and what they may do.

`gate_http.GateMiddleware(app, gate)` and `gate_grpc.GateInterceptor(gate)` ask it on their
transport; `gate_opening.open_gate(options, reach)` opens one. What a route, an RPC or a JSON-RPC
method needs stands in `permissions`.
"""

from codetether_ray.core.principals import Principal
from codetether_ray.ports.policy import Policy, Resource
from codetether_ray.ports.tokens import TokenBook


class Gate:
    """Lets in who shows a valid token, and lets do what the policy allows."""

    def __init__(self, tokens: TokenBook, policy: Policy) -> None:
        self._tokens, self._policy = tokens, policy

    async def authenticate(self, authorization: str | None, address: str) -> Principal:
        """Whose token an `Authorization` header or metadata holds; `address` is the client's.

        Raises:
            UnauthenticatedError: there is none, or it is not valid.
            TooManyFailuresError: the same, from an address that failed too often.
            AuthUnavailableError: it cannot be told.
        """
        raise NotImplementedError

    async def permit(
        self, principal: Principal, permission: str, resource: Resource | None = None
    ) -> None:
        """Return if somebody may use a permission, on a certain resource if one is given.

        Raises:
            ForbiddenError: they may not.
        """
        raise NotImplementedError

    async def may(
        self, principal: Principal, permission: str, resource: Resource | None = None
    ) -> bool:
        """The same as a question."""
        return await self._policy.allows(principal, permission, resource)

    async def close(self) -> None:
        """Write what waits for the audit log, and let go of what is open."""
