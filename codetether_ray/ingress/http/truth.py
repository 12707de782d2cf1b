"""`/v1/truth`: what the command line asks a cluster's truth, from any machine.

A name of a table and plain values: see `bootstrap.truth.questions`.
"""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse

from codetether_ray.bootstrap.truth.questions import QUESTIONS, taken, told
from codetether_ray.ingress.answers import answer
from codetether_ray.ingress.control import control_of
from codetether_ray.ingress.http.problems import problem
from codetether_ray.ingress.http.shapes.truth import Asked, Told

if TYPE_CHECKING:
    from fastapi import Response

    from codetether_ray.ingress.parts import Parts

_Name = Annotated[str, Path(max_length=100)]


def router(parts: "Parts") -> APIRouter:
    """The route of questions."""
    made = APIRouter(tags=["truth"])
    control = control_of(parts)

    @made.post("/v1/truth/{name}", response_model=Told)
    async def ask(name: _Name, body: Asked) -> "Response":
        """Ask a question by its name; the answer says who gave it."""
        if name not in QUESTIONS:
            return problem(404, f"there is no question {name!r}", "unknown")
        found = await answer(control, name, taken(name, body.arguments))
        return JSONResponse({"answer": told(found), "source": parts.reach.source})

    return made
