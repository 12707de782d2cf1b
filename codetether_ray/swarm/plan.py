"""A plan: subtasks and what each waits for; and how a model's answer becomes one.

A `Plan` is always sound: ids and names are unique, every dependency exists, nothing waits for
itself, stages are right. What is not is refused with a sentence that the model, in its repair
round, and a person can act on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from codetether_ray.core import graph
from codetether_ray.core.codec import JsonObject, decode, encode_object
from codetether_ray.core.errors import PlanError
from codetether_ray.core.ids import slug
from codetether_ray.swarm.answer import find_object
from codetether_ray.swarm.overlap import order_overlaps

MAIN_TASK = "Main Task"
_RESERVED = "main"  # `codetether/<swarm>/main` is the run's own branch


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtask:
    """One piece of work, done by one agent in one worktree."""

    id: str
    name: str
    instruction: str
    specialty: str = ""
    dependencies: tuple[str, ...] = ()
    """Ids, in plan order."""
    priority: int = 0
    """Higher ones are started first."""
    files: tuple[str, ...] = ()
    """Paths that it says it will change."""
    stage: int = 0
    """0 without dependencies, else one more than the highest of them."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Subtasks in the order that the model gave them."""

    subtasks: tuple[Subtask, ...]
    warnings: tuple[str, ...] = ()

    @cached_property
    def by_id(self) -> Mapping[str, Subtask]:
        """Subtasks by their ids."""
        return {s.id: s for s in self.subtasks}

    @cached_property
    def graph(self) -> graph.Graph:
        """What each subtask depends on."""
        return {s.id: s.dependencies for s in self.subtasks}

    @cached_property
    def merge_order(self) -> tuple[Subtask, ...]:
        """Dependencies first, ties by plan order: the order of the final merges."""
        return tuple(self.by_id[id] for id in graph.topological(self.graph))

    def to_json(self) -> tuple[JsonObject, ...]:
        """The subtasks as `PlanMade` carries them."""
        return tuple(encode_object(s) for s in self.subtasks)

    @classmethod
    def from_json(cls, subtasks: tuple[JsonObject, ...], warnings: tuple[str, ...] = ()) -> "Plan":
        """Read `to_json`'s form."""
        return cls(subtasks=tuple(decode(Subtask, s) for s in subtasks), warnings=warnings)


def single(task: str) -> Plan:
    """The plan of one subtask: the whole task."""
    return Plan(subtasks=(Subtask(id=slug(MAIN_TASK), name=MAIN_TASK, instruction=task),))


def parse_plan(text: str, *, max_subagents: int, task: str = "") -> Plan:
    """The plan in a model's answer; a blank answer is one `Main Task` of the whole `task`.

    The answer holds `{"subtasks": [{"name", "instruction", "specialty", "dependencies",
    "priority", "id", "files"}]}`; only name and instruction are required. Dependencies are ids
    or names.

    Raises:
        PlanError: there is no such JSON, or the plan in it is not sound.
    """
    if not text.strip():
        return single(task)
    entries = find_object(text).get("subtasks")
    if not isinstance(entries, list) or not entries:
        raise PlanError('the JSON object needs a non-empty list "subtasks"')
    if len(entries) > max_subagents:
        raise PlanError(f"the plan has {len(entries)} subtasks; at most {max_subagents} may be")
    return _sound([_Entry(entry, number) for number, entry in enumerate(entries, 1)])


class _Entry:
    """One subtask as the model wrote it."""

    def __init__(self, data: object, number: int) -> None:
        if not isinstance(data, dict):
            raise PlanError(f"subtask {number} is not a JSON object")
        self._data = cast("dict[str, Any]", data)
        self._where = f"subtask {number}"
        self.name = self._text("name", required=True)
        self._where = f'subtask "{self.name}"'
        self.instruction = self._text("instruction", required=True)
        self.specialty = self._text("specialty")
        self.id = self._text("id")
        self.dependencies = self._texts("dependencies")
        self.files = tuple(dict.fromkeys(_path(f) for f in self._texts("files")))
        self.priority = self._priority()
        self.refuse_reserved()

    def refuse_reserved(self) -> None:
        """No subtask may take the name of the run's own branch."""
        if slug(self.name) == _RESERVED:
            raise PlanError(f'no subtask may be named "{self.name}"; give it another name')

    def _text(self, key: str, *, required: bool = False) -> str:
        value = self._data.get(key)
        if value is None:
            value = ""
        if not isinstance(value, (str, int)):
            raise PlanError(f'{self._where}: "{key}" must be a string')
        if required and not str(value).strip():
            raise PlanError(f'{self._where} has no "{key}"')
        return str(value).strip()

    def _texts(self, key: str) -> tuple[str, ...]:
        value = self._data.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(v, (str, int)) for v in value):
            raise PlanError(f'{self._where}: "{key}" must be a list of strings')
        return tuple(str(v).strip() for v in value)

    def _priority(self) -> int:
        value = self._data.get("priority")
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise PlanError(f'{self._where}: "priority" must be a number')
        return int(value)


def _path(text: str) -> str:
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts)


def _sound(entries: list[_Entry]) -> Plan:
    ids = _unique_ids(entries)
    known = _references(entries, ids)
    names = {id: e.name for e, id in zip(entries, ids, strict=True)}
    found: dict[str, tuple[str, ...]] = {}
    for entry, id in zip(entries, ids, strict=True):
        found[id] = tuple(_resolve(entry, word, known, names) for word in entry.dependencies)
    _refuse_cycle(found, names)
    files = {id: e.files for e, id in zip(entries, ids, strict=True)}
    needs, warnings = order_overlaps(found, files, names)
    stage = graph.stages(needs)
    place = {id: index for index, id in enumerate(ids)}
    subtasks = tuple(
        Subtask(
            id=id,
            name=e.name,
            instruction=e.instruction,
            specialty=e.specialty,
            dependencies=tuple(sorted(set(needs[id]), key=lambda need: place[need])),
            priority=e.priority,
            files=e.files,
            stage=stage[id],
        )
        for e, id in zip(entries, ids, strict=True)
    )
    return Plan(subtasks=subtasks, warnings=warnings)


def _unique_ids(entries: list[_Entry]) -> tuple[str, ...]:
    seen: dict[str, str] = {}
    for entry in entries:
        folded = entry.name.casefold()
        if folded in seen:
            raise PlanError(f'two subtasks are named "{entry.name}"; names must differ')
        seen[folded] = entry.name
    ids: dict[str, None] = {}
    wanted = {slug(e.name) for e in entries}
    for entry in entries:
        id, number = slug(entry.name), 2
        while id in ids or (number > 2 and id in wanted):
            id, number = f"{slug(entry.name)}-{number}", number + 1
        ids[id] = None
    return tuple(ids)


def _references(entries: list[_Entry], ids: tuple[str, ...]) -> dict[str, str]:
    """What a dependency may say, and whom it means; names win over ids that the model made up."""
    known: dict[str, str] = {}
    for entry, id in zip(entries, ids, strict=True):
        if entry.id and known.setdefault(entry.id, id) != id:
            raise PlanError(f'two subtasks have the id "{entry.id}"; ids must differ')
    known.update(zip(ids, ids, strict=True))
    known.update({e.name: id for e, id in zip(entries, ids, strict=True)})
    return known


def _resolve(entry: _Entry, word: str, known: Mapping[str, str], names: Mapping[str, str]) -> str:
    id = known.get(word) or known.get(slug(word))
    if id is None:
        there_are = ", ".join(f'"{name}"' for name in names.values())
        raise PlanError(
            f'subtask "{entry.name}" depends on "{word}", which is not in the plan; '
            f"there are {there_are}"
        )
    return id


def _refuse_cycle(found: Mapping[str, tuple[str, ...]], names: Mapping[str, str]) -> None:
    path = [names[id] for id in graph.cycle(found)]
    if len(path) == 2:
        raise PlanError(f'subtask "{path[0]}" depends on itself')
    if path:
        raise PlanError(f"the dependencies form a cycle: {' -> '.join(path)}")
