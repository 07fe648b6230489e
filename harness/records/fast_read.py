"""One line to one record, fast enough for tables of 100,000 records.

Without this file `Record(**orjson.loads(line))` would do, but it takes 3 times the processor time
(measured: 2.4 to 3.5 times; with `json.loads`, 4.7 to 6.9 times) and 1,050 MB of memory in place of
280 MB, for 100,000 records (289 MB on disk). `python -m harness bench --only table` measures the
times. Four things make the difference:

* no search for cyclic garbage while records are made (it would take 1.5 to 2.2 times the time);
* curves are cut out of a line before it is parsed (1.4 to 1.8 times);
* records are made without the dataclass's setters (1.1 to 1.6 times);
* equal provenance is parsed once and shared (1.0 to 1.5 times, and 200 MB).
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

# What stands before and after a field in a line. No text contains it: its quotes are escaped.
CURVE = (b'"curve": [', b'], "epochs": ')
PROVENANCE = (b'"provenance": ', b', "format": ')
FIELDS = {field.name: field.default for field in dataclasses.fields(Record)}
DEFAULTS = {n: default for n, default in FIELDS.items() if default is not dataclasses.MISSING}
REQUIRED = FIELDS.keys() - DEFAULTS


class OtherFormat(Exception):
    """A record that another version of the harness wrote."""


def record(line: bytes, *, curves: bool) -> Record:
    """The record that a line holds, with an empty curve if `curves` is False.

    Raises OtherFormat for a record of another format, and ValueError, KeyError, TypeError or
    AttributeError for a line that is no record.
    """
    fields = orjson.loads(line) if curves else _without_curve(line)
    if fields["format"] != RECORD_FORMAT:
        raise OtherFormat(
            f"record format {fields['format']}, this version reads and writes {RECORD_FORMAT}"
        )
    fields["epochs"] = tuple(fields["epochs"])
    if fields.get("epochs_run") is not None:
        fields["epochs_run"] = tuple(fields["epochs_run"])
    if wrong := _wrong_names(tuple(fields)):
        raise TypeError(f"fields missing or unknown: {wrong}")
    result = object.__new__(Record)
    complete = fields if len(fields) == len(FIELDS) else DEFAULTS | fields
    object.__setattr__(result, "__dict__", complete)
    return result


@functools.lru_cache(maxsize=64)
def _wrong_names(names: tuple[str, ...]) -> list[str]:
    """Required fields that are missing from the names, and names that are no fields."""
    return sorted((REQUIRED - set(names)) | (set(names) - FIELDS.keys()))


def _without_curve(line: bytes) -> dict[str, Any]:
    """A line's fields with an empty curve."""
    try:
        if (spliced := _spliced(line)) is not None:
            return spliced
    except ValueError:  # what was cut out was not what it seemed, or the line is damaged
        pass
    fields: dict[str, Any] = orjson.loads(line)
    fields["curve"].clear()
    return fields


def _spliced(line: bytes) -> dict[str, Any] | None:
    """A line's fields, its curve cut out before parsing; None where another program laid it out.

    ValueError where the rest of the line is not JSON.
    """
    start = line.find(CURVE[0]) + len(CURVE[0])
    end = line.rfind(CURVE[1], start)
    provenance_start = line.find(PROVENANCE[0], end) + len(PROVENANCE[0])
    provenance_end = line.rfind(PROVENANCE[1], provenance_start)
    if not len(CURVE[0]) <= start <= end < provenance_start <= provenance_end:
        return None
    fields: dict[str, Any] = orjson.loads(
        line[:start] + line[end:provenance_start] + b"0" + line[provenance_end:]
    )
    fields["provenance"] = _provenance(line[provenance_start:provenance_end])
    return fields


@functools.lru_cache(maxsize=256)
def _provenance(text: bytes) -> Any:
    """The provenance of a text: one object for all records of the same provenance."""
    return orjson.loads(text)


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Never search objects made inside for cyclic garbage, neither now nor later.

    Records have no cycles, and many objects make every search slow.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
