"""A PRD's file as text: read strictly, and changed in place, so that all else keeps its bytes.

What is changed is a value's own text, from its first to its last character. A key that was not
there is put behind the object's last one, spaced as that one is. Byte order mark, line ends,
indentation, order and unknown keys stay.
"""

import builtins
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from codetether_ray.core.codec import JsonValue
from codetether_ray.core.errors import PrdError
from codetether_ray.ralph import prd_check
from codetether_ray.ralph.json_layout import (
    ROOT,
    Members,
    items_at,
    members_at,
    root_span,
)
from codetether_ray.ralph.prd import GATES, Prd, QualityChecks, Story
from codetether_ray.ralph.prd_fields import Fields

MOST_BYTES = 10_000_000
"""Of a file: a larger one is refused before it is parsed."""
_STORIES = "user_stories"
_NOTHING: Mapping[str, JsonValue] = {}

Edit = tuple[int, int, str]
"""Replace the characters from the first to before the second place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrdText:
    """A PRD with the text that it was read from; a change gives a new one."""

    text: str
    """With the byte order mark, if there is one."""
    prd: Prd
    warnings: tuple[str, ...] = ()

    @property
    def bytes(self) -> builtins.bytes:
        """What the file holds."""
        return self.text.encode()

    def passed(self, ids: Iterable[str], *, updated_at: str = "") -> "PrdText":
        """With these stories marked as passed; `updated_at` goes where the file has such a key.

        Raises:
            PrdError: there is no such story.
        """
        root: Mapping[str, JsonValue] = {"updated_at": updated_at} if updated_at else _NOTHING
        if root and self._root().get("updated_at") is None:
            root = _NOTHING
        return self.changed(root=root, stories={id: {"passes": True} for id in ids})

    def on_branch(self, name: str) -> "PrdText":
        """With the branch named.

        Raises:
            PrdError: git allows no branch of that name.
        """
        return self.changed(root={"branch_name": name})

    def changed(
        self,
        *,
        root: Mapping[str, JsonValue] = _NOTHING,
        stories: Mapping[str, Mapping[str, JsonValue]] = _NOTHING,  # type: ignore[assignment]
    ) -> "PrdText":
        """With these members of the root, and of the stories of these ids, set.

        What has the value already keeps its text.

        Raises:
            PrdError: there is no such story, or the PRD would not be sound.
        """
        whole = self._root()
        edits = _edits(self.text, whole, root)
        places = self._places(whole) if stories else {}
        for id, fields in stories.items():
            edits += _edits(self.text, self._story(places, id), fields)
        return self._edited(edits)

    def amended(self, id: str, index: int, criterion: str) -> "PrdText":
        """With one acceptance criterion of a story worded anew.

        Raises:
            PrdError: there is no such story or criterion.
        """
        found = self._story(self._places(self._root()), id).get("acceptance_criteria")
        items = () if found is None else items_at(self.text, found.start, ROOT)
        if not 0 <= index < len(items):
            raise PrdError((f'story "{id}" has no acceptance criterion {index}',))
        item = items[index]
        return self._edited([(item.start, item.end, _written(criterion, self.text))])

    def _root(self) -> Members:
        return members_at(self.text, root_span(self.text).start)

    def _places(self, whole: Members) -> Mapping[str, int]:
        """Where the text of each story begins."""
        stories = whole.get(_STORIES)
        items = () if stories is None else items_at(self.text, stories.start, ROOT)
        ids = (story.id for story in self.prd.stories)
        return {id: item.start for id, item in zip(ids, items, strict=True)}

    def _story(self, places: Mapping[str, int], id: str) -> Members:
        if id not in places:
            raise PrdError((f'there is no story "{id}"',))
        return members_at(self.text, places[id])

    def _edited(self, edits: list[Edit]) -> "PrdText":
        if not edits:
            return self
        parts: list[str] = []
        at = 0
        for start, end, new in sorted(edits):
            parts += (self.text[at:start], new)
            at = end
        return _read("".join(parts) + self.text[at:])


def read_prd(data: builtins.bytes) -> PrdText:
    """The PRD in a file's bytes.

    Raises:
        PrdError: it cannot be worked on; each problem is a sentence with the JSON path.
    """
    if len(data) > MOST_BYTES:
        raise PrdError((too_large(len(data)),))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise PrdError((f"{ROOT}: byte {error.start} is not UTF-8",)) from None
    return _read(text)


def too_large(size: int) -> str:
    """What is wrong with a file of so many bytes."""
    limit = MOST_BYTES // 1_000_000
    return f"{ROOT}: {size / 1e6:.1f} MB is too large for a PRD; at most {limit} MB"


def write_prd(prd: Prd) -> PrdText:
    """The text of a PRD that has no file yet.

    Raises:
        PrdError: it cannot be worked on.
    """
    return _read(json.dumps(prd.to_json(), indent=2, ensure_ascii=False) + "\n")


def _read(text: str) -> PrdText:
    data = root_span(text).value
    if not isinstance(data, dict):
        raise PrdError((f"{ROOT}: it is not an object",))
    problems: list[str] = []
    notes: list[str] = []
    prd = _prd(Fields(data, ROOT, problems), notes)
    if not problems:
        problems += prd_check.problems(prd)
    if problems:
        raise PrdError(tuple(problems))
    return PrdText(text=text, prd=prd, warnings=(*prd_check.warnings(prd), *notes))


def _prd(fields: Fields, notes: list[str]) -> Prd:
    checks = fields.part("quality_checks")
    notes += (
        f"$.quality_checks.{name}: there is no such gate ({', '.join(GATES)}); it is not run"
        for name in checks.others(*GATES)
    )
    return Prd(
        project=fields.text("project"),
        feature=fields.text("feature"),
        branch_name=fields.text("branch_name", "").strip(),
        version=fields.text("version", "1.0"),
        stories=tuple(map(_story, fields.parts(_STORIES))),
        technical_requirements=fields.texts("technical_requirements"),
        quality_checks=QualityChecks(**{name: checks.command(name) for name in GATES}),
        created_at=fields.text("created_at", ""),
        updated_at=fields.text("updated_at", ""),
    )


def _story(fields: Fields) -> Story:
    return Story(
        id=fields.text("id"),
        title=fields.text("title"),
        description=fields.text("description"),
        acceptance_criteria=fields.texts("acceptance_criteria"),
        passes=fields.flag("passes"),
        priority=fields.small("priority", 1),
        depends_on=fields.texts(fields.either("depends_on", "dependencies")),
        complexity=fields.small("complexity", 3),
    )


# -- edits ----------------------------------------------------------------------------------------


def _edits(text: str, found: Members, fields: Mapping[str, JsonValue]) -> list[Edit]:
    """What sets members of one object; those that are not there are put behind its last one."""
    edits: list[Edit] = []
    new: list[tuple[str, str]] = []
    for key, value in fields.items():
        member = found.get(key)
        if member is None:
            new.append((_written(key, text), _written(value, text)))
        elif not _same(member.value, value):
            edits.append((member.start, member.end, _written(value, text)))
    if new:
        edits.append(_insertion(text, found, new))
    return edits


def _insertion(text: str, found: Members, new: list[tuple[str, str]]) -> Edit:
    if not found.members:
        words = ", ".join(f"{key}: {value}" for key, value in new)
        return found.start + 1, found.start + 1, words
    last = found.members[-1]
    colon = text[last.key_end : last.start]
    if len(found.members) > 1:
        comma = text[found.members[-2].end : last.key_start]
    else:
        comma = "," + text[found.start + 1 : last.key_start]
    return last.end, last.end, "".join(f"{comma}{key}{colon}{value}" for key, value in new)


def _written(value: JsonValue, text: str) -> str:
    return json.dumps(value, ensure_ascii=text.isascii(), allow_nan=False)


def _same(old: Any, new: JsonValue) -> bool:
    return type(old) is type(new) and bool(old == new)
