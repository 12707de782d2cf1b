"""A2A's routes in the API's description: JSON-RPC, and HTTP+JSON of both versions."""

import re
from collections.abc import Iterator
from typing import Any

from a2a.compat.v0_3 import a2a_v0_3_pb2 as old
from a2a.types import a2a_pb2 as new
from google.protobuf.descriptor import Descriptor

from codetether_ray.a2a.json_schemas import Schema, Schemas, is_required
from codetether_ray.a2a.old_operations import OLD_OPERATIONS
from codetether_ray.a2a.operations import OPERATIONS
from codetether_ray.a2a.versions import CURRENT, OLD
from codetether_ray.ingress.http import a2a_cards, a2a_rest, a2a_rest_old

_ERROR = "A2AError"
_TAG = "a2a"
_EVENTS = "text/event-stream"
_JSON, _PROBLEM = "application/json", "application/problem+json"
_BODIES = ("SendMessageRequest", "TaskPushNotificationConfig",
           "CreateTaskPushNotificationConfigRequest")  # fmt: skip
_ELSEWHERE = ("task_id", "parent", "tenant")
"""Fields that a path says, or nobody: who asks has one tenant, that of the token."""
_OF_OLD = {
    "message/send": "SendMessage",
    "message/stream": "SendStreamingMessage",
    "tasks/cancel": "CancelTask",
    "tasks/resubscribe": "TaskSubscription",
    "tasks/get": "GetTask",
    "tasks/pushNotificationConfig/set": "CreateTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/list": "ListTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/get": "GetTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/delete": "DeleteTaskPushNotificationConfig",
}
"""RPCs of 0.3 by the methods of its JSON-RPC; its card is JSON alone."""
_ERROR_SCHEMA: Schema = {
    "type": "object",
    "description": "What went wrong, as A2A's HTTP+JSON binding tells it.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "status", "message"],
            "properties": {
                "code": {"type": "integer"},
                "status": {"type": "string"},
                "message": {"type": "string"},
                "details": {"type": "array", "items": {"type": "object"}},
            },
        }
    },
}
_WRONG: Schema = {
    "description": "What is wrong: with the request by A2A's rules, or a problem of the server.",
    "content": {
        _JSON: {"schema": {"$ref": f"#/components/schemas/{_ERROR}"}},
        _PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}},
    },
}


def describe(described: dict[str, Any], rest: str, jsonrpc: str) -> None:
    """Add A2A's operations to an API's description: HTTP+JSON below `rest`, JSON-RPC at a path."""
    schemas = Schemas()
    paths = described["paths"]
    for path in a2a_cards.PATHS:
        paths.setdefault(path, {})["get"] = _card(schemas, path)
    for method, path, operation in _operations(schemas):
        paths.setdefault(rest + path, {})[method] = operation
    paths.setdefault(jsonrpc, {})["post"] = _jsonrpc()
    found = described.setdefault("components", {}).setdefault("schemas", {})
    found.update(schemas.found)
    found[_ERROR] = _ERROR_SCHEMA


def _operations(schemas: Schemas) -> Iterator[tuple[str, str, Schema]]:
    """Method, path and description of each operation of HTTP+JSON."""
    rpcs = new.DESCRIPTOR.services_by_name["A2AService"].methods_by_name
    for method, path, name, _ in a2a_rest.ROUTES:
        rpc = rpcs[name]
        made = _Made(schemas, CURRENT, name, rpc.input_type, rpc.output_type)
        yield method.lower(), path, made.operation(method, path)
    rpcs = old.DESCRIPTOR.services_by_name["A2AService"].methods_by_name
    for method, path, name, _, _ in a2a_rest_old.ROUTES:
        rpc = rpcs.get(_OF_OLD.get(name, ""))
        asked = rpc.input_type if rpc is not None else old.GetAgentCardRequest.DESCRIPTOR
        told = rpc.output_type if rpc is not None else None
        made = _Made(schemas, OLD, name, asked, told)
        yield method.lower(), path, made.operation(method, path)


class _Made:
    """One operation on its way into the description."""

    def __init__(
        self, schemas: Schemas, version: str, name: str, asked: Descriptor, told: Descriptor | None
    ) -> None:
        self._schemas, self._version, self._name = schemas, version, name
        self._asked, self._told = asked, told

    def operation(self, method: str, path: str) -> Schema:
        """Its description, for an HTTP method and a path below the prefix."""
        made: Schema = {
            "tags": [_TAG],
            "summary": f"{self._name}, A2A {self._version}",
            "operationId": f"a2a {self._version} {self._name} {method}",
            "parameters": [*self._of_path(path), self._version_header()],
            "responses": {"200": self._answer(), "default": _WRONG},
        }
        if self._asked.name in _BODIES and method == "POST":
            body = {"schema": self._body()}
            made["requestBody"] = {"required": True, "content": {_JSON: body}}
        elif method == "GET":
            made["parameters"] += self._of_query()
        return made

    def _of_path(self, path: str) -> list[Schema]:
        return [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", path)
        ]

    def _version_header(self) -> Schema:
        return {
            "name": "A2A-Version",
            "in": "header",
            "required": self._version == CURRENT,
            "description": "The version of the protocol; without it 0.3 is spoken.",
            "schema": {"type": "string", "enum": [self._version]},
        }

    def _of_query(self) -> list[Schema]:
        """Scalars of the request that its path does not name."""
        return [
            {"name": field.json_name, "in": "query", "schema": self._schemas.field(field)}
            for field in self._asked.fields
            if field.name not in ("id", "name", *_ELSEWHERE)
        ]

    def _body(self) -> Schema:
        if self._asked.name == "SendMessageRequest":
            return self._schemas.message(self._asked)
        fields = [field for field in self._asked.fields if field.name not in _ELSEWHERE]
        return {
            "type": "object",
            "properties": {field.json_name: self._schemas.field(field) for field in fields},
            "required": [field.json_name for field in fields if is_required(field)],
        }

    def _answer(self) -> Schema:
        if self._is_stream():
            return {"description": "A task and its updates, as events.", "content": {_EVENTS: {}}}
        schema = {"type": "object"} if self._told is None else self._schemas.message(self._told)
        kinds = (_JSON,) if self._version == OLD else (_JSON, a2a_rest.MEDIA_TYPE)
        content = {kind: {"schema": schema} for kind in kinds}
        return {"description": "The answer.", "content": content}

    def _is_stream(self) -> bool:
        table = OPERATIONS if self._version == CURRENT else OLD_OPERATIONS
        return table[self._name].stream is not None


def _card(schemas: Schemas, path: str) -> Schema:
    card = schemas.message(new.AgentCard.DESCRIPTOR)
    return {
        "tags": [_TAG],
        "summary": "The agent's card",
        "operationId": f"a2a card {path}",
        "security": [{}, {"bearer": []}],  # a token is needed where the options say so
        "responses": {
            "200": {"description": "The card.", "content": {_JSON: {"schema": card}}},
            "304": {"description": "It has not changed since the client got it."},
        },
    }


def _jsonrpc() -> Schema:
    """One operation for all methods; what each is given, the protocol's definitions say."""
    request = {
        "type": "object",
        "required": ["jsonrpc", "method"],
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "id": {"type": ["string", "integer", "null"]},
            "method": {"type": "string", "enum": [*OPERATIONS, *OLD_OPERATIONS]},
            "params": {"type": "object"},
        },
    }
    answer = {
        "type": "object",
        "required": ["jsonrpc", "id"],
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "id": {"type": ["string", "integer", "null"]},
            "result": {},
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
            },
        },
    }
    return {
        "tags": [_TAG],
        "summary": "A2A by JSON-RPC 2.0, versions 1.0 and 0.3; also at `/`",
        "operationId": "a2a JSON-RPC",
        "parameters": [
            {
                "name": "A2A-Version",
                "in": "header",
                "schema": {"type": "string", "enum": [CURRENT, OLD]},
            }
        ],
        "requestBody": {"required": True, "content": {_JSON: {"schema": request}}},
        "responses": {
            "200": {
                "description": "The result or the error; of streaming methods, events of those.",
                "content": {_JSON: {"schema": answer}, _EVENTS: {}},
            },
            "default": _WRONG,
        },
    }
