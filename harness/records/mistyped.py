"""Whether what was read from a results folder is of the types that are written there."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from harness.schema import Record, Stage, Study

STAGES = frozenset(typing.get_args(Stage))
TEXTS = ("study", "dataset", "loss", "key")
COUNTS = ("seed", "trial", "search_repeat", "format")
NUMBERS = {int, float}


def mistyped(record: Record) -> str | None:
    """The first field that is not what a record holds, in words, or None."""
    for name in TEXTS:
        if type(getattr(record, name)) is not str:
            return _not(record, name, "a text")
    if type(record.stage) is not str or record.stage not in STAGES:
        return _not(record, "stage", f"one of {', '.join(sorted(STAGES))}")
    for name in COUNTS:
        if not _is_count(getattr(record, name)):
            return _not(record, name, "a whole number of 0 or more")
    for name in ("repeat", "fold"):
        if getattr(record, name) is not None and not _is_count(getattr(record, name)):
            return _not(record, name, "a whole number of 0 or more, or null")
    if not _is_pair(record.epochs):
        return _not(record, "epochs", "two whole numbers")
    if record.epochs_run is not None and not _is_pair(record.epochs_run):
        return _not(record, "epochs_run", "two whole numbers")
    if type(record.seconds) not in NUMBERS or not 0 <= record.seconds < math.inf:
        return _not(record, "seconds", "a number of 0 or more")
    return _mistyped_optional(record) or _mistyped_container(record)


def of_description(description: object) -> str | None:
    """What of a study.json is not of the kind that is written there, in words, or None."""
    if not isinstance(description, dict):
        return "it holds no object"
    kinds = {"format": int, "study": dict, "dataset": str, "title": str, "fingerprint": str}
    for name, kind in kinds.items():
        value = description.get(name, "" if name == "title" else None)
        if type(value) is not kind:
            return f"its {name} is {str(value)[:60]!r}"
    return None


def of_study(fields: Mapping[str, Any]) -> str | None:
    """What keeps the fields of a study.json from being those of a study, in words, or None."""
    unknown = sorted(set(fields) - {field.name for field in dataclasses.fields(Study)})
    if unknown:
        names = ", ".join(name if name.isidentifier() else repr(name) for name in unknown)
        return f"no study has the fields {names}; use the version that wrote it"
    return None if "name" in fields else "the study has no name; restore or remove it"


def _mistyped_optional(record: Record) -> str | None:
    """As `mistyped`, of the fields that may be null."""
    for name, kind, words in (
        ("failure", str, "a text"),
        ("capped", bool, "true or false"),
        ("digest", str, "a text"),
        ("diagnostics", dict, "an object"),
    ):
        value = getattr(record, name)
        if value is not None and type(value) is not kind:
            return _not(record, name, f"{words}, or null")
    queries = record.test_queries
    if queries is not None and not (type(queries) is list and all(map(_is_count, queries))):
        return _not(record, "test_queries", "a list of whole numbers, or null")
    return None


def _mistyped_container(record: Record) -> str | None:
    """As `mistyped`, of the fields that hold others."""
    for name in ("params", "scores", "provenance"):
        if type(getattr(record, name)) is not dict:
            return _not(record, name, "an object")
    if type(record.curve) is not list or not _types(record.curve) <= {dict}:
        return _not(record, "curve", "a list of objects")
    by_class: Any = record.by_class
    if by_class is not None and not (
        type(by_class) is dict
        and all(type(sums) is list and _types(sums) <= NUMBERS for sums in by_class.values())
    ):
        return _not(record, "by_class", "an object of lists of numbers, or null")
    versions = record.provenance.get("versions", {})
    if type(versions) is not dict or not _types(versions.values()) <= {str}:
        return "its provenance.versions is not an object of texts"
    texts = ("commit", "device", "processor", "study", "dataset", "weights")
    for name in (*texts, "loss_code", "trunk_code"):
        if type(record.provenance.get(name, "")) not in (str, type(None)):
            return f"its provenance.{name} is not a text"
    return None


def _types(values: Iterable[object]) -> set[type]:
    return set(map(type, values))


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_pair(value: object) -> bool:
    return type(value) is tuple and len(value) == 2 and all(map(_is_count, value))


def _not(record: Record, name: str, words: str) -> str:
    return f"its {name} is {str(getattr(record, name))[:60]!r}, which is not {words}"
