"""What each route, RPC and JSON-RPC method needs: one table for all transports.

What stands nowhere here is not answered: HTTP says 404 (405 where only the method is missing), gRPC
PERMISSION_DENIED, before anything of the application sees the request. Patterns are matched from
the top; `*` stands for one segment of a path, `**` at the end for any rest, none included.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

BY_METHOD = "jsonrpc"
"""Of JSON-RPC's endpoints: whoever answers there asks for `of_rpc(method)`."""
_Entries = tuple[tuple[frozenset[str], str], ...]
_READ = "GET HEAD"
_LONGEST = 2048  # characters of a path; no route of ours is longer

_HTTP: tuple[tuple[str, str, str], ...] = (  # methods, pattern, permission
    # A2A
    ("POST", "/", BY_METHOD),
    ("POST", "/a2a", BY_METHOD),
    ("POST", "/a2a/", BY_METHOD),
    (_READ, "/.well-known/**", "agent:read"),
    (_READ, "/a2a/.well-known/**", "agent:read"),
    (_READ, "/a2a/**/extendedAgentCard", "agent:read"),
    (_READ, "/a2a/**/card", "agent:read"),
    ("POST", "/a2a/**:subscribe", "tasks:read"),
    (_READ, "/a2a/**", "tasks:read"),
    ("POST DELETE", "/a2a/**", "tasks:write"),
    # The server itself
    (_READ, "/health", "monitor:read"),
    (_READ, "/ready", "monitor:read"),
    (_READ, "/docs/**", "agent:read"),
    (_READ, "/openapi.json", "agent:read"),
    (_READ, "/descriptors/**", "agent:read"),
    (_READ, "/api/version", "agent:read"),
    (_READ, "/api/config", "agent:read"),
    (_READ, "/api/provider", "agent:read"),
    (_READ, "/api/agent", "agent:read"),
    # Sessions
    (_READ, "/api/session/**", "sessions:read"),
    ("POST", "/api/session/*/prompt", "agent:execute"),
    ("POST PATCH PUT DELETE", "/api/session/**", "sessions:write"),
    # Control plane
    (_READ, "/v1/audit/**", "audit:read"),
    ("POST", "/v1/audit/query", "audit:read"),
    (_READ, "/v1/runs/**", "runs:read"),
    (_READ, "/v1/top", "monitor:read"),
    ("POST", "/v1/runs/*/cancel", "runs:cancel"),
    (_READ, "/v1/swarms/**", "swarms:read"),
    ("POST", "/v1/swarms/**", "swarms:execute"),
    (_READ, "/v1/prds/**", "prds:read"),
    ("POST PUT PATCH DELETE", "/v1/prds/**", "prds:execute"),
    (_READ, "/v1/okrs/**", "okrs:read"),
    ("POST", "/v1/okrs", "okrs:write"),
    ("POST", "/v1/okrs/*/approve", "okrs:approve"),
    ("POST", "/v1/okrs/*/deny", "okrs:approve"),
    ("POST PUT PATCH DELETE", "/v1/okrs/**", "okrs:execute"),
    ("POST", "/v1/bundles", "swarms:execute"),
    ("POST", "/v1/truth/**", "runs:read"),
    # Workers and their tasks
    ("POST", "/v1/opencode/workers/register", "workers:write"),
    (_READ, "/v1/opencode/workers/**", "workers:read"),
    ("POST DELETE", "/v1/opencode/workers/**", "workers:write"),
    (_READ, "/v1/opencode/tasks/**", "queue:read"),
    ("POST PUT", "/v1/opencode/tasks/**", "tasks:execute"),
    (_READ, "/v1/opencode/codebases/**", "codebases:read"),
    ("POST DELETE", "/v1/opencode/codebases/**", "codebases:write"),
    (_READ, "/v1/worker/tasks/stream", "tasks:execute"),
    ("POST", "/v1/worker/tasks/**", "tasks:execute"),
    (_READ, "/v1/workers/**", "workers:read"),
    (_READ, "/v1/tasks/**", "tasks:read"),
    ("POST DELETE", "/v1/tasks/**", "tasks:write"),
    (_READ, "/v1/knative/**", "queue:read"),
    ("POST", "/v1/knative/**", "tasks:execute"),
    ("POST", "/task", "tasks:write"),
    # Peers
    (_READ, "/v1/peers/**", "peers:read"),
    ("POST DELETE", "/v1/peers/**", "peers:write"),
)

_RPC: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "GetTask",
            "ListTasks",
            "SubscribeToTask",
            "TaskSubscription",
            "GetTaskPushNotificationConfig",
            "ListTaskPushNotificationConfig",
            "ListTaskPushNotificationConfigs",
            "tasks/get",
            "tasks/list",
            "tasks/resubscribe",
            "tasks/pushNotificationConfig/get",
            "tasks/pushNotificationConfig/list",
        ),
        "tasks:read",
    ),
    **dict.fromkeys(
        (
            "SendMessage",
            "SendStreamingMessage",
            "CancelTask",
            "CreateTaskPushNotificationConfig",
            "DeleteTaskPushNotificationConfig",
            "message/send",
            "message/stream",
            "tasks/cancel",
            "tasks/pushNotificationConfig/set",
            "tasks/pushNotificationConfig/delete",
        ),
        "tasks:write",
    ),
    **dict.fromkeys(
        (
            "GetAgentCard",
            "GetExtendedAgentCard",
            "agent/getAuthenticatedExtendedCard",
            "agent/authenticatedExtendedCard",
        ),
        "agent:read",
    ),
}
"""JSON-RPC's methods, 1.0's and 0.3's, which are gRPC's as well."""

_A2A_SERVICES = ("lf.a2a.v1.A2AService", "a2a.v1.A2AService")
_REFLECTION = "ServerReflectionInfo"

_CONTROL: Mapping[str, str] = {
    "SubmitSwarm": "swarms:execute",
    "SubmitPrd": "prds:execute",
    "GetRun": "runs:read",
    "ListRuns": "runs:read",
    "FollowRun": "runs:read",
    "CancelRun": "runs:cancel",
    "UploadBundle": "swarms:execute",
    "FetchBundle": "runs:read",
    "ListOkrs": "okrs:read",
    "GetOkr": "okrs:read",
    "CreateOkr": "okrs:write",
    "ApproveOkr": "okrs:approve",
    "DenyOkr": "okrs:approve",
    "ResumeOkr": "okrs:execute",
    "CancelOkr": "okrs:execute",
}
"""Of `codetether.v1.Control`, as the routes of the same name."""

_GRPC: Mapping[str, str] = {
    **{f"/codetether.v1.Control/{name}": need for name, need in _CONTROL.items()},
    **{
        f"/{s}/{name}": need
        for s in _A2A_SERVICES
        for name, need in _RPC.items()
        if "/" not in name
    },
    **{f"/codetether.v1.Control/{name}": need for name, need in _CONTROL.items()},
    "/grpc.health.v1.Health/Check": "monitor:read",
    "/grpc.health.v1.Health/Watch": "monitor:read",
    "/grpc.health.v1.Health/List": "monitor:read",
    f"/grpc.reflection.v1alpha.ServerReflection/{_REFLECTION}": "agent:read",
    f"/grpc.reflection.v1.ServerReflection/{_REFLECTION}": "agent:read",
}

PUBLIC_RPCS = frozenset({"/grpc.health.v1.Health/Check"})
"""Answered without a token, and without any detail."""
PUBLIC_PATHS = frozenset({"/health", "/ready"})
CARD_PATHS = frozenset(
    {"/.well-known/agent-card.json", "/.well-known/agent.json", "/.well-known/jwks.json"}
)
"""The card and the keys that it is verified with: public unless the options say otherwise."""


def every() -> frozenset[str]:
    """All permissions that are asked for."""
    return frozenset((*(need for _, _, need in _HTTP), *_RPC.values(), *_GRPC.values()))


def of_rpc(method: str) -> str | None:
    """The permission of a JSON-RPC method, `SendMessage` or `message/send`; None: no such one."""
    return _RPC.get(method)


def of_grpc(method: str) -> str | None:
    """The permission of an RPC, `/package.Service/Method`; None where there is none."""
    return _GRPC.get(method)


def of_http(method: str, path: str) -> str | None:
    """The permission of a request; None where there is none."""
    return next((need for methods, need in _entries(path) if method in methods), None)


def methods_of(path: str) -> tuple[str, ...]:
    """The methods that a path may have; none: nothing is there."""
    return tuple(sorted({method for methods, _ in _entries(path) for method in methods}))


def _entries(path: str) -> _Entries:
    """Methods and permissions of a path, as the table has them."""
    return _looked_up(path) if len(path) <= _LONGEST else ()  # what is remembered stays small


@lru_cache(4096)
def _looked_up(path: str) -> _Entries:
    return tuple((methods, need) for methods, found, need in _COMPILED if found.fullmatch(path))


def _compiled(pattern: str) -> re.Pattern[str]:
    """`/**` is any rest, none included; `**` elsewhere any text; `*` one segment."""
    text = re.escape(pattern).replace(r"/\*\*", "(?:/.*)?").replace(r"\*", "[^/]+")
    return re.compile(text, re.DOTALL)


_COMPILED = tuple((frozenset(m.split()), _compiled(pattern), need) for m, pattern, need in _HTTP)
