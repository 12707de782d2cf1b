"""What all tool arguments have in common: strict in names, lenient in spelling."""

import json
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo


class Arguments(BaseModel):
    """Arguments of a tool. An unknown one is an error; what models often write otherwise is not.

    `null` stands for an optional argument left out, and a list or object may come as JSON text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _lenient(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {
            name: _unquoted(value, cls.model_fields.get(name))
            for name, value in data.items()
            if value is not None or _needs(cls.model_fields.get(name))
        }


def _needs(field: FieldInfo | None) -> bool:
    return field is None or field.is_required()


def _unquoted(value: Any, field: FieldInfo | None) -> Any:
    if not isinstance(value, str) or field is None or not _is_compound(field.annotation):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _is_compound(annotation: Any) -> bool:
    """Whether a list or object is wanted, and text is not."""
    if get_origin(annotation) is Union:
        members = get_args(annotation)
        return any(map(_is_compound, members)) and str not in members
    origin = get_origin(annotation) or annotation
    return origin in (list, tuple, dict)
