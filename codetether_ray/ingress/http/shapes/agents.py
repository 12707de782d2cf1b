"""What a server has to work with, as JSON over HTTP."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class Setting(BaseModel):
    """One setting."""

    key: str
    value: Any
    origin: Literal["default", "set"]


class Limits(BaseModel):
    """What one message's turn may take; null: no limit of the server's own."""

    max_steps: int | None
    timeout_s: float | None
    max_tokens: int | None
    budget_usd: float | None


class Config(BaseModel):
    """How a server is configured. No secret is in it."""

    default_provider: str | None
    default_model: str | None
    model: str | None = Field(description="That the server was started with.")
    limits: Limits
    settings: list[Setting]


class Provider(BaseModel):
    """A model provider that can be used."""

    id: str
    has_key: bool
    is_default: bool
    base_url: str | None
    default_model: str | None
    models: list[str] = Field(description="Those that are known; others can be named as well.")


class AgentInfo(BaseModel):
    """A kind of agent that a session can have."""

    name: str
    description: str
    mode: Literal["primary", "subagent", "all"]
    native: bool
    hidden: bool
    model: str | None = Field(description="Null: the settings'.")
    temperature: float | None
    top_p: float | None
    max_steps: int | None
    tools: list[str] = Field(description="That the caller's agent would have.")
