"""Classes of actors made remote: once in a process, and by the same name in all processes.

Ray gives an actor class a random name each time that it is made remote. A process that is given a
handle fetches the class of that name from the control service and keeps it as long as it lives: for
each run another copy, in every process that many runs share. By a name that follows from the class
itself it is fetched once. A class that is made within a function keeps Ray's name: nothing tells it
from the next one.
"""

import functools
import hashlib
import inspect
from typing import Any

import ray

from codetether_ray import __version__
from codetether_ray.actors.pulse import GROUPS


@functools.cache
def made_remote(cls: type) -> Any:
    """A class made remote, with the concurrency groups of whoever is watched."""
    made = ray.remote(concurrency_groups=dict(GROUPS))(cls)
    about: Any = getattr(made, "__ray_metadata__", None)  # private: without, it keeps Ray's name
    given = getattr(about, "actor_creation_function_descriptor", None)
    if given is not None and "<locals>" not in cls.__qualname__:
        about.actor_creation_function_descriptor = type(given)(
            given.module_name, given.function_name, given.class_name, print_of(cls)
        )
    return made


def print_of(cls: type) -> str:
    """What tells a class from any other that is called the same: an older program's, too.

    Of the code alone: Ray gives the functions of a class that it has seen other signatures.
    """
    found = hashlib.sha256(f"{__version__} {cls.__module__}:{cls.__qualname__}".encode())
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        code = method.__code__
        found.update(f"{name} {code.co_varnames} {code.co_names}".encode() + code.co_code)
    return found.hexdigest()[:32]
