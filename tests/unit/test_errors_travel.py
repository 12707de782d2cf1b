import inspect
import pickle

import pytest

from codetether_ray.core import errors
from codetether_ray.core.errors import CodetetherError

_SAMPLES = {"str": "text", "int": 3, "float": 1.5, "float | None": 2.0, "tuple[str, ...]": ("a",)}
_CLASSES = [
    c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, CodetetherError)
]


def _instance(cls: type[CodetetherError]) -> CodetetherError:
    if cls.__init__ is Exception.__init__:
        return cls("a sentence")
    wanted = [p for p in inspect.signature(cls.__init__).parameters.values() if p.name != "self"]
    if any(p.kind is p.VAR_POSITIONAL for p in wanted):
        return cls("a sentence")
    return cls(
        *(_SAMPLES[str(p.annotation).removeprefix("<class '").removesuffix("'>")] for p in wanted)
    )


@pytest.mark.parametrize("cls", _CLASSES, ids=lambda c: c.__name__)
def test_an_error_survives_the_way_between_processes(cls: type[CodetetherError]) -> None:
    before = _instance(cls)
    after = pickle.loads(pickle.dumps(before))
    assert type(after) is cls
    assert str(after) == str(before)
    assert vars(after) == vars(before)
