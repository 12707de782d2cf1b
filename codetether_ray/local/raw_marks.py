"""Whether objects were changed, told without touching them.

Looking at an object from Python writes to it: its reference count. A process that was forked shares
its pages with its parent until they are written, and a look at every function would make all of
them its own. So what tells a change is read from memory as it is: CPython 3.11 counts the changes
of each dict, and a function holds pointers to its code and defaults. Elsewhere nothing is known,
and who asks must look.
"""

import ctypes
import gc
import sys
import zlib
from array import array
from collections.abc import Iterable
from types import FunctionType
from typing import Any

_DICT_VERSION = 24  # PyDictObject.ma_version_tag, 8 bytes
_TYPE_DICT = 264  # PyTypeObject.tp_dict, a pointer
_FUNCTION_PARTS = 48, 24  # PyFunctionObject.func_code, func_defaults, func_kwdefaults

_read = ctypes.string_at


class Marks:
    """Of dicts, functions and classes, as they are when this is made."""

    __slots__ = ("_dicts", "_functions", "_seen")

    def __init__(
        self,
        dicts: Iterable[dict[Any, Any]] = (),
        functions: Iterable[FunctionType] = (),
        classes: Iterable[type] = (),
    ) -> None:
        """The objects must outlive this: they are found again by their addresses."""
        own = [*map(id, dicts), *map(_dict_of, classes)] if IS_KNOWN else []
        self._dicts = array("Q", own)
        self._functions = array("Q", map(id, functions) if IS_KNOWN else ())
        self._seen = self._now()

    @property
    def are_as_they_were(self) -> bool:
        """Whether nothing was changed since; False where that cannot be told."""
        return IS_KNOWN and self._seen == self._now()

    def renew(self) -> None:
        """What is there now is as it shall be."""
        self._seen = self._now()

    def _now(self) -> int:
        found = 0
        for address in self._dicts:
            found = zlib.crc32(_read(address + _DICT_VERSION, 8), found)
        begin, size = _FUNCTION_PARTS
        for address in self._functions:
            found = zlib.crc32(_read(address + begin, size), found)
        return found


def _dict_of(found: type) -> int:
    """The address of a class's own dict."""
    return int.from_bytes(_read(id(found) + _TYPE_DICT, 8), sys.byteorder)


def _is_known() -> bool:
    """Whether this interpreter's objects are laid out as they are read here: tried out."""
    if sys.implementation.name != "cpython" or sys.version_info[:2] != (3, 11):
        return False

    class Probe:
        """Has a dict that is found in two ways."""

    def probe() -> None:
        """Has code."""

    own = gc.get_referents(Probe.__dict__)
    begin, _ = _FUNCTION_PARTS
    code = int.from_bytes(_read(id(probe) + begin, 8), sys.byteorder)
    names: dict[str, int] = {}
    before = _read(id(names) + _DICT_VERSION, 8)
    names["a"] = 1
    return (
        [id(found) for found in own] == [_dict_of(Probe)]
        and code == id(probe.__code__)
        and before != _read(id(names) + _DICT_VERSION, 8)
    )


IS_KNOWN = _is_known()
"""Whether anything can be told here."""
