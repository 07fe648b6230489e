"""One line to one record, fast enough for tables of 100,000 records.

Why not `Record(**json.loads(line))`: a table of 100,000 records (281 MB) takes 2.3 s this way and
6 to 7 s the plain way (`python -m harness bench --only table`). Three things save the time, and all
three are kept in this file: curves are cut out of the bytes before they are parsed, provenance is
parsed once for all records that share it, and records are built without the dataclass's setters.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
from collections.abc import Iterator
from typing import Any

import orjson

from harness.schema import RECORD_FORMAT, Record

# What encloses a part of a line. No text in a record can contain it: its quotes would be escaped.
CURVE = (b'"curve": [', b'], "epochs": ')
PROVENANCE = (b'"provenance": ', b', "format": ')
FIELDS = {field.name: field.default for field in dataclasses.fields(Record)}
DEFAULTS = {n: default for n, default in FIELDS.items() if default is not dataclasses.MISSING}
REQUIRED = FIELDS.keys() - DEFAULTS


class OtherFormat(Exception):
    """A record that another version of the harness wrote."""


def record(line: bytes, *, curves: bool) -> Record:
    """The record that a line holds, its curve empty without `curves`.

    OtherFormat for a record of another format; ValueError, KeyError, TypeError or AttributeError
    for a line that is no record.
    """
    fields = orjson.loads(line) if curves else _without_curve(line)
    if fields["format"] != RECORD_FORMAT:
        raise OtherFormat(
            f"record format {fields['format']}, this version reads and writes {RECORD_FORMAT}"
        )
    fields["epochs"] = tuple(fields["epochs"])
    if wrong := _wrong_names(tuple(fields)):
        raise TypeError(f"fields missing or unknown: {wrong}")
    made = object.__new__(Record)
    complete = fields if len(fields) == len(FIELDS) else DEFAULTS | fields
    object.__setattr__(made, "__dict__", complete)
    return made


@functools.lru_cache(maxsize=64)
def _wrong_names(names: tuple[str, ...]) -> list[str]:
    """Required fields that are not among the names, and names that are no fields."""
    return sorted((REQUIRED - set(names)) | (set(names) - FIELDS.keys()))


def _without_curve(line: bytes) -> dict[str, Any]:
    """A line's fields, its curve empty; a line with another layout takes longer."""
    start = line.find(CURVE[0]) + len(CURVE[0])
    end = line.rfind(CURVE[1], start)
    provenance_start = line.find(PROVENANCE[0], end) + len(PROVENANCE[0])
    provenance_end = line.rfind(PROVENANCE[1], provenance_start)
    if len(CURVE[0]) <= start <= end < provenance_start <= provenance_end:
        fields: dict[str, Any] = orjson.loads(
            line[:start] + line[end:provenance_start] + b"0" + line[provenance_end:]
        )
        fields["provenance"] = _provenance(line[provenance_start:provenance_end])
    else:
        fields = orjson.loads(line)
        fields["curve"].clear()
    return fields


@functools.lru_cache(maxsize=256)
def _provenance(text: bytes) -> Any:
    return orjson.loads(text)


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Objects made inside are never searched for cyclic garbage, neither now nor later.

    Records have no cycles, and many of them make every search slow.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
