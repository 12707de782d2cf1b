"""The protocol's user, made of a principal of ours: what each transport's context carries."""

from a2a.auth.user import User
from a2a.server.context import ServerCallContext
from a2a.types import InvalidRequestError

from codetether_ray.core.principals import Principal


class CallingUser(User):
    """Somebody whom the gate let in."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    @property
    def is_authenticated(self) -> bool:
        """Always: the gate has let them in."""
        return True

    @property
    def user_name(self) -> str:
        """Whose the tasks are: the principal's `owner`."""
        return self.principal.owner


def principal_of(context: ServerCallContext) -> Principal:
    """Who calls.

    Raises:
        InvalidRequestError: the transport has not said it.
    """
    user = context.user
    if isinstance(user, CallingUser):
        return user.principal
    raise InvalidRequestError("the request does not say who makes it; send a bearer token")
