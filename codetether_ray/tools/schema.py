"""A tool's schema as the model reads it: short, because every request carries all of them."""

import inspect
from typing import Any

from codetether_ray.core.models import ToolSchema
from codetether_ray.ports.tool import Tool

_KEPT = ("type", "description", "enum", "items", "properties", "required", "default")


def tool_schema(tool: Tool[Any]) -> ToolSchema:
    """The schema of a tool's arguments; their docstring is the description."""
    full = tool.arguments.model_json_schema()
    parameters = _compact(full, full.get("$defs", {}))
    parameters.pop("description", None)
    parameters.setdefault("properties", {})
    description = " ".join(inspect.cleandoc(tool.arguments.__doc__ or "").split())
    return ToolSchema(name=tool.name, description=description, parameters=parameters)


def _compact(schema: Any, definitions: Any) -> Any:
    """`schema` without references, titles and what only a validator needs."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
        schema.pop("description", None)
    choices = [c for c in schema.get("anyOf", []) if c.get("type") != "null"]
    if len(choices) == 1:
        schema = {**choices[0], **schema}
    out = {key: schema[key] for key in _KEPT if key in schema}
    if out.get("default", 0) in (None, "", []):
        del out["default"]
    if "items" in out:
        out["items"] = _compact(out["items"], definitions)
    if "properties" in out:
        properties = out["properties"].items()
        out["properties"] = {name: _compact(value, definitions) for name, value in properties}
    return out


def signature(tool: Tool[Any]) -> str:
    """One line that names a tool's arguments, for an answer to wrong ones."""
    schema = tool_schema(tool).parameters
    properties: Any = schema["properties"]
    required: Any = schema.get("required", [])
    return ", ".join(_argument(name, properties[name], name in required) for name in properties)


def _argument(name: str, schema: Any, is_required: bool) -> str:
    kind = schema.get("type", "any")
    if "enum" in schema:
        kind = "|".join(map(str, schema["enum"]))
    if "items" in schema:
        kind = f"array of {schema['items'].get('type', 'any')}"
        inner = schema["items"].get("properties")
        if inner:
            needed = schema["items"].get("required", [])
            kind += f" {{{', '.join(_argument(n, inner[n], n in needed) for n in inner)}}}"
    return f"{name}: {kind}" + (" (required)" if is_required else "")
