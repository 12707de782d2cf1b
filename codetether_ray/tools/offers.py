"""What models see of each tool, and its effect, without importing the tool.

`offers.json` is made from the tools by `scripts/gen_tool_offers`; a test checks that it is fresh.
The tools' own modules load pydantic, which takes 0.1 s that the first request need not wait for.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from codetether_ray.core.models import ToolSchema
from codetether_ray.ports.tool import Effect

PATH = Path(__file__).with_name("offers.json")
"""By tool: its description, parameters and effect."""


@cache
def schemas(names: tuple[str, ...]) -> tuple[ToolSchema, ...]:
    """What models see of these tools, in this order."""
    return tuple(_schema(name) for name in names)


def effect(name: str) -> Effect:
    """What a tool does to the world."""
    return Effect(_offers()[name]["effect"])


@cache
def _schema(name: str) -> ToolSchema:
    offer = _offers()[name]
    return ToolSchema(name=name, description=offer["description"], parameters=offer["parameters"])


@cache
def _offers() -> Mapping[str, Any]:
    return MappingProxyType(json.loads(PATH.read_text(encoding="utf-8")))
