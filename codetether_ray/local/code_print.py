"""Whether the code of this process is what it was, and its modules' data as they were.

A function, class or method that was replaced is another object. Data of this project's modules are
put back; that code is another than it was can only be told.
"""

import contextlib
import functools
import sys
from collections.abc import Iterator
from itertools import islice
from types import FunctionType, ModuleType
from typing import Any

from codetether_ray.local.raw_marks import Marks

_PACKAGE = "codetether_ray"
_OTHERS = """
builtins asyncio asyncio.tasks asyncio.events asyncio.base_events asyncio.locks io os posixpath
pathlib shutil tempfile subprocess socket ssl signal threading time json re random secrets hashlib
hmac sqlite3 urllib.request http.client logging selectors contextvars dataclasses
aiohttp aiohttp.client aiohttp.connector pydantic pydantic.main nacl.public nacl.secret
"""
"""Modules of others that agents work through: their functions and classes must stay."""
_ABOUT_TYPES = ("core.codec", "core.jsontext", "tools.offers", "tools.catalog")
"""Modules of ours whose caches hold what is derived from code alone."""
_SPARE = 32
"""So many more of the latest modules are looked at than there are new ones: others went."""
_CODE = (ModuleType, FunctionType, type(len), type, functools._lru_cache_wrapper)


class CodePrint:
    """The modules of this process as they are when this is made."""

    def __init__(self) -> None:
        self._ours: dict[str, _Module] = {}
        self._others: dict[str, _Foreign] = {}
        self._wanted = frozenset(_OTHERS.split())
        self._count = 0
        self.learn()

    def restore(self) -> list[str]:
        """Put data back, forget what was cached; the names of code that was replaced."""
        marks = [mark for known in self._ours.values() for mark in known.restore()]
        marks += [mark for known in self._others.values() for mark in known.restore()]
        for module in self._ours.values():
            module.forget()
        return [*marks, *self.learn()]

    def learn(self) -> list[str]:
        """Look at modules that were loaded since; what in them is not their own."""
        marks: list[str] = []
        count = len(sys.modules)
        for name in [*islice(reversed(sys.modules), max(count - self._count, 0) + _SPARE)]:
            module = sys.modules[name]
            if not isinstance(module, ModuleType) or name in self._ours or name in self._others:
                continue
            if name.partition(".")[0] == _PACKAGE:
                marks += _foreign(name, module)
                self._ours[name] = _Module(name, module)
            elif name in self._wanted:
                self._others[name] = _Foreign(name, module)
        self._count = count
        return marks


class _Module:
    """One module of this project."""

    def __init__(self, name: str, module: ModuleType) -> None:
        self._name = name
        self._module = module
        self._names = dict(vars(module))
        self._lists = {k: v.copy() for k, v in self._names.items() if isinstance(v, list | set)}
        self._dicts = {
            key: value.copy()
            for key, value in self._names.items()
            if isinstance(value, dict) and not key.startswith("__")
        }
        own = [v for v in self._names.values() if getattr(v, "__module__", "") == name]
        self._functions = {v: _inside(v) for v in own if isinstance(v, FunctionType)}
        self._classes = {v: _members(v) for v in own if isinstance(v, type)}
        caches = [v for v in own if isinstance(v, functools._lru_cache_wrapper)]
        self._caches = [] if name.endswith(_ABOUT_TYPES) else caches
        held = (self._names[key] for key in self._dicts)
        self.marks = Marks((vars(module), *held), self._functions, self._classes)

    def restore(self) -> Iterator[str]:
        """Put its names and dicts back; the names of code that is another than it was."""
        if sys.modules.get(self._name) is not self._module:
            yield self._name
            return
        if self.marks.are_as_they_were:
            return
        yield from self._names_put_back()
        yield from self._changed()
        for key, entries in self._dicts.items():
            value = self._names[key]
            if value != entries:
                value.clear()
                value.update(entries)
        self.marks.renew()

    def forget(self) -> None:
        """Empty its caches, put its lists and sets back."""
        for cache in self._caches:
            cache.cache_clear()
        for key, known in self._lists.items():
            value: Any = self._names[key]
            if value != known:
                value.clear()
                (value.extend if isinstance(value, list) else value.update)(known)

    def _names_put_back(self) -> Iterator[str]:
        now = vars(self._module)
        for key, value in self._names.items():
            if now.get(key, self) is not value:
                if isinstance(value, _CODE):
                    yield f"{self._name}.{key}"
                now[key] = value
        for key in [k for k in now if k not in self._names]:
            if isinstance(now[key], ModuleType):  # imported since: a part of its package
                self._names[key] = now[key]
            else:
                yield f"{self._name}.{key}"

    def _changed(self) -> Iterator[str]:
        changed = [f.__name__ for f, inside in self._functions.items() if _inside(f) != inside]
        changed += [c.__name__ for c, members in self._classes.items() if _members(c) != members]
        yield from (f"{self._name}.{found}" for found in changed)


class _Foreign:
    """One module of others."""

    def __init__(self, name: str, module: ModuleType) -> None:
        self._name = name
        self._module = module
        self._names = {k: v for k, v in vars(module).items() if isinstance(v, _CODE)}
        own = [v for v in self._names.values() if getattr(v, "__module__", "") == name]
        self._functions = {v: _inside(v) for v in own if isinstance(v, FunctionType)}
        self._classes = {v: _members(v) for v in own if isinstance(v, type)}
        self.marks = Marks((vars(module),), self._functions, self._classes)

    def restore(self) -> Iterator[str]:
        """The names of what is another than it was."""
        if sys.modules.get(self._name) is not self._module:
            yield self._name
            return
        if self.marks.are_as_they_were:
            return
        now = vars(self._module)
        changed = [key for key, value in self._names.items() if now.get(key) is not value]
        changed += [f.__name__ for f, inside in self._functions.items() if _inside(f) != inside]
        changed += [c.__name__ for c, members in self._classes.items() if _members(c) != members]
        yield from (f"{self._name}.{found}" for found in changed)
        self.marks.renew()


_learned: CodePrint | None = None


def learn() -> CodePrint:
    """What this process, or the one that it was forked from, has looked at first."""
    global _learned
    if _learned is None:
        _learned = CodePrint()
    _learned.learn()
    return _learned


def _members(found: type) -> int:
    """The functions and other members of a class, by identity."""
    kinds = (FunctionType, property, classmethod, staticmethod)
    return hash(tuple((k, id(v)) for k, v in vars(found).items() if isinstance(v, kinds)))


def _inside(function: FunctionType) -> tuple[int, int, int]:
    return id(function.__code__), id(function.__defaults__), id(function.__kwdefaults__)


def _foreign(name: str, module: ModuleType) -> Iterator[str]:
    """Functions that stand in a module as its own, and were written elsewhere.

    A context manager's function is the one that `contextlib` puts around ours.
    """
    written = (getattr(module, "__file__", None), "<string>", contextlib.__file__)
    for key, value in vars(module).items():
        is_own = isinstance(value, FunctionType) and value.__module__ == name
        if is_own and value.__code__.co_filename not in written:
            yield f"{name}.{key}"
