"""What happens to a member's answer: it is shortened if it is long, and may bring somebody in."""

from codetether_ray.core.errors import CodetetherError, PlanError
from codetether_ray.core.messages import user
from codetether_ray.core.spec import AgentSpec
from codetether_ray.ports.runtime import AgentRuntime
from codetether_ray.relay import prompts
from codetether_ray.relay.crew import Crew
from codetether_ray.relay.markers import needed
from codetether_ray.relay.memory import Memory
from codetether_ray.relay.options import MOST_SPECIALISTS, RelayOptions
from codetether_ray.relay.profiles import MOST, Profile, parse_specialist


class Handing:
    """Makes a handoff of an answer. What an aide cannot do is done without it."""

    def __init__(self, options: RelayOptions, crew: Crew, runtime: AgentRuntime) -> None:
        self._options = options
        self._crew = crew
        self._runtime = runtime

    async def handoff(self, turn: int, text: str) -> str:
        """What the next member gets; empty where that is the whole answer."""
        if len(text.encode()) <= prompts.HANDOFF_BYTES:
            return ""
        request = prompts.summary_request(self._options.task, text)
        said = await self._ask(self._crew.summary(turn), request)
        return said[: prompts.HANDOFF_BYTES] or prompts.shorten(text, prompts.CUT_CHARS)

    async def specialist(self, memory: Memory, turn: int, text: str) -> Profile | None:
        """Who joins, where the answer says that an expertise is missing."""
        wanted = needed(text)
        if not wanted or memory.specialists >= MOST_SPECIALISTS or len(memory.team) >= MOST:
            return None
        request = prompts.specialist_request(self._options.task, memory.team, wanted, text)
        said = await self._ask(self._crew.specialist(turn), request)
        try:
            return parse_specialist(said, memory.by_name)
        except PlanError:
            return None

    async def _ask(self, spec: AgentSpec, request: str) -> str:
        try:
            turn = await self._runtime.run(spec, user(request))
        except CodetetherError:  # the next member's turn meets what is wrong, if it lasts
            return ""
        return turn.text.strip() if turn.is_success else ""
