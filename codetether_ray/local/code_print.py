"""Whether the code of this process is what it was, and its modules' data as they were.

Looked at by identity: a function, class or method that was replaced is another object. Data of this
project's modules are put back; that code is another than it was can only be told.
"""

import functools
import sys
import types
from collections.abc import Iterator
from typing import Any

_PACKAGE = "codetether_ray"
_OTHERS = """
builtins asyncio asyncio.tasks asyncio.events asyncio.base_events asyncio.locks io os posixpath
pathlib shutil tempfile subprocess socket ssl signal threading time json re random secrets hashlib
hmac sqlite3 urllib.request http.client logging selectors contextvars dataclasses
aiohttp aiohttp.client aiohttp.connector pydantic pydantic.main nacl.public nacl.secret
"""
"""Modules of others that agents work through: their functions and classes must stay."""
_ABOUT_TYPES = ("core.codec", "core.jsontext", "tools.toolbox", "tools.catalog")
"""Modules of ours whose caches hold what is derived from code alone."""
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, type)
_CODE = (types.ModuleType, functools._lru_cache_wrapper, *_FUNCTIONS)


class CodePrint:
    """The modules of this process as they are when this is made."""

    def __init__(self) -> None:
        self._ours: dict[str, _Module] = {}
        self._learn()
        self._others = {name: _callables(vars(sys.modules[name])) for name in _loaded_others()}
        self._classes = {
            name: _classes(vars(sys.modules[name]))
            for name in self._others
            if name.startswith(("aiohttp", "pydantic", "asyncio"))
        }

    def restore(self) -> list[str]:
        """Put data back, forget what was cached; the names of code that was replaced."""
        marks = [mark for name, known in self._ours.items() for mark in known.restore(name)]
        marks += self._replaced_by_others()
        marks += self._learn()
        return marks

    def _learn(self) -> list[str]:
        """Look at modules that were loaded since; what in them is not their own."""
        marks: list[str] = []
        for name, module in tuple(sys.modules.items()):
            if name.partition(".")[0] == _PACKAGE and name not in self._ours and module is not None:
                marks += _foreign(name, module)
                self._ours[name] = _Module(module)
        return marks

    def _replaced_by_others(self) -> Iterator[str]:
        for name, known in self._others.items():
            now = vars(sys.modules[name]) if name in sys.modules else {}
            yield from (
                f"{name}.{key}" for key, value in known.items() if now.get(key) is not value
            )
        for name, classes in self._classes.items():
            changed = [found for found, members in classes.items() if _members(found) != members]
            yield from (f"{name}.{found.__name__}" for found in changed)


class _Module:
    """One module of this project."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module
        self._names = dict(vars(module))
        self._data = {
            key: _copied(value)
            for key, value in self._names.items()
            if isinstance(value, (dict, list, set)) and not key.startswith("__")
        }
        own = [v for v in self._names.values() if getattr(v, "__module__", "") == module.__name__]
        self._functions = {v: _inside(v) for v in own if isinstance(v, types.FunctionType)}
        self._classes = {v: _members(v) for v in own if isinstance(v, type)}
        is_about_types = module.__name__.endswith(_ABOUT_TYPES)
        caches = [v for v in own if isinstance(v, functools._lru_cache_wrapper)]
        self._caches = [] if is_about_types else caches

    def restore(self, name: str) -> Iterator[str]:
        """Put its data back; the names of what is another than it was."""
        if sys.modules.get(name) is not self._module:
            yield name
            return
        for cache in self._caches:
            cache.cache_clear()
        yield from self._names_put_back(name)
        self._put_data_back()
        changed = [f.__name__ for f, inside in self._functions.items() if _inside(f) != inside]
        changed += [c.__name__ for c, members in self._classes.items() if _members(c) != members]
        yield from (f"{name}.{found}" for found in changed)

    def _names_put_back(self, name: str) -> Iterator[str]:
        now = vars(self._module)
        for key, value in self._names.items():
            if now.get(key, self) is not value:
                if isinstance(value, _CODE):
                    yield f"{name}.{key}"
                now[key] = value
        if len(now) == len(self._names):
            return
        for key in [k for k in now if k not in self._names]:
            if isinstance(now[key], types.ModuleType):  # imported since: a part of its package
                self._names[key] = now[key]
            else:
                yield f"{name}.{key}"

    def _put_data_back(self) -> None:
        for key, known in self._data.items():
            value: Any = self._names[key]
            if value == known:
                continue
            if isinstance(value, list):
                value[:] = known
            else:
                value.clear()
                value.update(known)


def _copied(value: Any) -> Any:
    return type(value)(value) if type(value) in (dict, list, set) else value.copy()


def _callables(names: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in names.items() if isinstance(value, _FUNCTIONS)}


def _classes(names: dict[str, Any]) -> dict[type, int]:
    return {value: _members(value) for value in names.values() if isinstance(value, type)}


def _members(found: type) -> int:
    """The functions and other members of a class, by identity."""
    return hash(
        tuple(
            (key, id(value))
            for key, value in vars(found).items()
            if isinstance(value, (types.FunctionType, property, classmethod, staticmethod))
        )
    )


def _inside(function: types.FunctionType) -> tuple[int, int, int]:
    return id(function.__code__), id(function.__defaults__), id(function.__kwdefaults__)


def _foreign(name: str, module: types.ModuleType) -> Iterator[str]:
    """Functions that stand in a module as its own, and were written elsewhere."""
    file = getattr(module, "__file__", None)
    for key, value in vars(module).items():
        is_own = isinstance(value, types.FunctionType) and value.__module__ == name
        if is_own and value.__code__.co_filename not in (file, "<string>"):
            yield f"{name}.{key}"


def _loaded_others() -> list[str]:
    return [name for name in _OTHERS.split() if name in sys.modules]
