"""The tool `swarm_share`: results that the agents of a swarm leave for each other."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.tool import Effect, SharedResult, ShareStore, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments

_LARGEST = 100_000  # characters of a value as JSON

Action = Literal["publish", "get", "query_tags", "query_prefix", "list"]


class SwarmShareArgs(Arguments):
    """Share results with the other agents of the swarm; get reads a value, the others list keys."""

    action: Action
    key: str = Field(default="", description="For publish and get")
    value: Any = Field(default=None, description="For publish: any JSON")
    tags: list[str] = Field(default_factory=list)
    prefix: str = ""


async def swarm_share(args: SwarmShareArgs, ctx: ToolContext) -> str:
    """A confirmation, one result, or a list of keys."""
    if ctx.shares is None:
        raise ToolError("there is no swarm to share with")
    return await _ACTIONS[args.action](args, ctx.shares, ctx.spec.path)


async def _publish(args: SwarmShareArgs, shares: ShareStore, producer: str) -> str:
    key = _key(args)
    if args.value is None:
        raise ToolError("swarm_share: publish needs a value")
    if len(json.dumps(args.value)) > _LARGEST:
        raise ToolError(
            f"swarm_share: the value is longer than {_LARGEST:,} characters; write it to a file "
            "and share its path"
        )
    await shares.publish(
        SharedResult(
            key=key,
            producer=producer,
            value=args.value,
            tags=tuple(args.tags),
            published_at=round(time.time(), 3),
        )
    )
    return f"published {key} ({_type(args.value)})"


async def _get(args: SwarmShareArgs, shares: ShareStore, producer: str) -> str:
    key = _key(args)
    result = await shares.get(key)
    if result is None:
        known = [one.key for one in await shares.query()]
        there = f"; there are: {', '.join(known[:20])}" if known else "; nothing was published yet"
        raise ToolError(f"swarm_share: nothing is published as {key!r}{there}")
    shown = {
        **_headline(result),
        "value": result.value,
        "published_at": result.published_at,
    }
    return json.dumps(shown, ensure_ascii=False, indent=2)


async def _query_tags(args: SwarmShareArgs, shares: ShareStore, producer: str) -> str:
    if not args.tags:
        raise ToolError("swarm_share: query_tags needs tags")
    return _listed(await shares.query(tags=tuple(args.tags)))


async def _query_prefix(args: SwarmShareArgs, shares: ShareStore, producer: str) -> str:
    if not args.prefix:
        raise ToolError("swarm_share: query_prefix needs a prefix")
    return _listed(await shares.query(prefix=args.prefix))


async def _list(args: SwarmShareArgs, shares: ShareStore, producer: str) -> str:
    return _listed(await shares.query())


_ACTIONS: Mapping[Action, Callable[[SwarmShareArgs, ShareStore, str], Awaitable[str]]] = (
    MappingProxyType(
        {
            "publish": _publish,
            "get": _get,
            "query_tags": _query_tags,
            "query_prefix": _query_prefix,
            "list": _list,
        }
    )
)


def _key(args: SwarmShareArgs) -> str:
    if not args.key:
        raise ToolError(f"swarm_share: {args.action} needs a key")
    return args.key


def _headline(result: SharedResult) -> dict[str, Any]:
    return {
        "key": result.key,
        "producer": result.producer,
        "type": _type(result.value),
        "tags": list(result.tags),
    }


def _listed(results: tuple[SharedResult, ...]) -> str:
    lines = json.dumps([_headline(result) for result in results], ensure_ascii=False)
    count = "1 result" if len(results) == 1 else f"{len(results)} results"
    return f"{count}\n{lines}"


def _type(value: Any) -> str:
    """JSON's name of a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


TOOL = Tool("swarm_share", SwarmShareArgs, swarm_share, Effect.STATE)
