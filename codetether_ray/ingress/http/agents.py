"""`/api/config`, `/api/provider`, `/api/agent`: what a server works with. No secret is in it."""

from typing import TYPE_CHECKING

from fastapi import APIRouter

from codetether_ray.bootstrap.a2a import configured
from codetether_ray.bootstrap.a2a.grants import tools_of
from codetether_ray.bootstrap.a2a.sessions import AGENTS
from codetether_ray.ingress.callers import caller
from codetether_ray.ingress.http.shapes.agents import AgentInfo, Config, Limits, Provider, Setting
from codetether_ray.tools.catalog import tools_for

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts

_DESCRIPTIONS = {
    "build": "Works in a workspace of its own until what was asked for is done and verified.",
    "plan": "Looks at the files and says what it would do; changes nothing.",
}


def router(parts: "Parts") -> APIRouter:
    """The routes."""
    made = APIRouter(tags=["server"])
    options, truth = parts.options, parts.reach.truth

    @made.get("/api/config")
    async def config() -> Config:
        """How this server is configured."""
        found = await truth.ask(configured.CONFIG)
        return Config(
            default_provider=found["default_provider"],
            default_model=found["default_model"],
            model=options.model or None,
            limits=Limits(
                max_steps=options.max_steps,
                timeout_s=options.timeout_s,
                max_tokens=options.max_tokens,
                budget_usd=options.budget_usd,
            ),
            settings=[Setting.model_validate(one) for one in found["settings"]],
        )

    @made.get("/api/provider")
    async def provider() -> list[Provider]:
        """The model providers that can be used now."""
        found = await truth.ask(configured.PROVIDERS)
        return [Provider.model_validate(one) for one in found]

    @made.get("/api/agent")
    async def agent() -> list[AgentInfo]:
        """The kinds of agents that a session can have, with the tools that the caller's would."""
        granted = set(await tools_of(parts.gate.may, caller()))
        return [
            AgentInfo(
                name=name,
                description=_DESCRIPTIONS[name],
                mode="primary",
                native=True,
                hidden=False,
                model=options.model or None,
                temperature=None,
                top_p=None,
                max_steps=options.max_steps,
                tools=[tool for tool in tools_for(kind) if tool in granted],
            )
            for name, kind in AGENTS.items()
        ]

    return made
