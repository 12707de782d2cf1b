"""Sessions as JSON over HTTP."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Agent = Literal["build", "plan"]
State = Literal["idle", "working", "interrupted"]
"""`interrupted`: a turn was begun, and nobody is at it."""


class NewSession(BaseModel):
    """A session that is wanted."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(max_length=200)] = ""
    agent: Agent = "build"
    model: Annotated[str, Field(max_length=200)] = Field(
        default="", description="`provider/model`; empty: the server's."
    )


class Prompt(BaseModel):
    """Something that is said in a session."""

    model_config = ConfigDict(extra="forbid")

    message: Annotated[str, Field(min_length=1, max_length=1_000_000)]
    id: Annotated[str, Field(max_length=100, pattern=r"^[\w.:-]*$")] = Field(
        default="",
        description="The client's own name for it: said again under the same one, it is not done "
        "twice.",
    )


class Summary(BaseModel):
    """A session without its messages. Times are ISO 8601 in UTC."""

    id: str
    context_id: str = Field(description="What A2A calls it: messages go on with it as well.")
    title: str | None
    created_at: str
    updated_at: str
    message_count: int
    agent: str
    directory: str
    state: State
    outcome: str | None = Field(description="How its last turn ended.")


class Usage(BaseModel):
    """Tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int


class Said(BaseModel):
    """One message."""

    role: Literal["user", "assistant", "tool"]
    content: list[dict[str, Any]]


class ToolUse(BaseModel):
    """A call with what it came to."""

    id: str
    name: str
    input: str = Field(description="JSON as the model wrote it.")
    output: str
    success: bool | None = Field(description="Null: it has not ended.")


class Metadata(BaseModel):
    """What else there is to say of a session."""

    directory: str
    model: str | None
    shared: bool
    share_url: str | None


class Session(BaseModel):
    """A session with its messages."""

    id: str
    context_id: str
    title: str | None
    created_at: str
    updated_at: str
    agent: str
    state: State
    outcome: str | None
    messages: list[Said]
    tool_uses: list[ToolUse]
    usage: Usage
    cost_usd: float | None
    metadata: Metadata


class Turn(BaseModel):
    """What a prompt came to."""

    text: str
    session_id: str
    outcome: str
    usage: Usage
    cost_usd: float | None
    error: str | None = None
    resume: str | None = None


class Canceled(BaseModel):
    """What came of a wish to end a turn."""

    session_id: str
    was_working: bool
