"""A class of actors has one name, whoever makes it remote: so it is fetched and kept once."""

import os
import subprocess
import sys
from typing import Any

import ray

from codetether_ray.actors.bus import RayBus
from codetether_ray.actors.classes import made_remote, print_of
from codetether_ray.actors.cluster import Cluster
from codetether_ray.actors.node import Node
from codetether_ray.actors.pool import PoolActor
from codetether_ray.actors.registry import Registry
from codetether_ray.actors.seats import Agents
from codetether_ray.actors.supervisor import Supervisor
from codetether_ray.local.bus import LocalBus

_CLASSES = (LocalBus, Registry, PoolActor, Node, Agents, Supervisor)
_ASK = """
import importlib, sys
from codetether_ray.actors.classes import print_of
for word in sys.argv[1:]:
    module, _, name = word.partition(":")
    print(print_of(getattr(importlib.import_module(module), name)))
"""


def test_handles_of_many_drivers_actors_bring_one_class_to_who_is_given_them(
    cluster: Cluster,
) -> None:
    def known(_: Any, *handles: Any) -> int:
        from ray._private.worker import global_worker

        assert handles
        return len(global_worker.function_actor_manager._loaded_actor_classes)

    holder = RayBus.start().actor
    made, counts = [holder], []
    for _ in range(3):
        made_remote.cache_clear()  # as if another driver made it
        made.append(RayBus.start().actor)
        asked = holder.__ray_call__.options(concurrency_group="pulse").remote(known, made[-1])
        counts.append(ray.get(asked))
    for actor in made:
        ray.kill(actor)
    assert counts == [1, 1, 1]


def test_every_process_gives_a_class_the_same_name() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ASK, *(f"{c.__module__}:{c.__qualname__}" for c in _CLASSES)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    names = done.stdout.split()
    assert names == [print_of(c) for c in _CLASSES]
    assert len(set(names)) == len(_CLASSES)


def test_a_class_that_has_changed_has_another_name() -> None:
    before = print_of(LocalBus)

    class Changed(LocalBus):
        async def forget(self) -> None:
            """It can do more."""

    Changed.__qualname__, Changed.__module__ = LocalBus.__qualname__, LocalBus.__module__
    assert print_of(Changed) != before


def test_a_class_within_a_function_keeps_a_name_of_its_own() -> None:
    def made() -> type:
        class Within:
            async def ask(self) -> None:
                """Nothing."""

        return Within

    names = [
        made_remote(cls).__ray_metadata__.actor_creation_function_descriptor.function_hash
        for cls in (made(), made())
    ]
    assert len(set(names)) == 2
