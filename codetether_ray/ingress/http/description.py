"""The API's description as it is answered: bearer tokens, and problems where something is wrong."""

from typing import Any

from fastapi import FastAPI

from codetether_ray.ingress.http.a2a import JSONRPC, REST
from codetether_ray.ingress.http.a2a_described import describe
from codetether_ray.ingress.http.problems import MEDIA_TYPE
from codetether_ray.ingress.permissions import PUBLIC_PATHS

_METHODS = frozenset(("get", "put", "post", "delete", "patch"))
_NOT_OURS = ("HTTPValidationError", "ValidationError")
_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, and what would help."},
        "kind": {"type": "string", "description": "Of the error, for programs."},
    },
}
_WRONG = {
    "description": "A problem: what is wrong with the request, or with the server.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_EVENTS = "text/event-stream"
_BEARER = {"type": "http", "scheme": "bearer"}


class Described(FastAPI):
    """FastAPI, whose description tells of the gate and of problems instead of its own errors."""

    def openapi(self) -> dict[str, Any]:
        """See `FastAPI.openapi`; made once."""
        if self.openapi_schema is None:
            described = super().openapi()
            describe(described, REST, JSONRPC[0])
            self.openapi_schema = told_truly(described)
        return self.openapi_schema


def told_truly(described: dict[str, Any]) -> dict[str, Any]:
    """The same description with what middlewares answer."""
    components = described.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _NOT_OURS:
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    components["securitySchemes"] = {"bearer": _BEARER}
    described["security"] = [{"bearer": []}]
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if method in _METHODS:
                _tell(path, operation)
    return described


def _tell(path: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    answers.pop("422", None)
    for answer in answers.values():
        if _EVENTS in answer.get("content", {}):
            answer["content"][_EVENTS] = {}  # a stream of many: no schema says how each looks
    if path in PUBLIC_PATHS:
        operation["security"] = []
    else:
        answers.setdefault("default", _WRONG)
