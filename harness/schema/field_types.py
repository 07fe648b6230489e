"""Whether a value is of the type that a field of a study has."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

_TYPES: dict[type, dict[str, Any]] = {}


def types_of(kind: type) -> dict[str, Any]:
    """The types of a class's fields, evaluated once: studies are made all the time."""
    if kind not in _TYPES:
        _TYPES[kind] = typing.get_type_hints(kind)
    return _TYPES[kind]


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type. No bool is a number; an int is a float."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in args
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, arg) for arg in args)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(args) == 2 and args[1] is Ellipsis:
            return all(fits(item, args[0]) for item in value)
        return len(value) == len(args) and all(map(fits, value, args))
    if origin is Mapping:
        return isinstance(value, Mapping)
    if origin is not None:
        return isinstance(value, origin)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return hint is Any or isinstance(value, hint)


def spelling_of(hint: Any) -> str:
    """An annotated type in words, as messages name it."""
    if typing.get_origin(hint) is Literal:
        return " or ".join(repr(arg) for arg in typing.get_args(hint))
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
