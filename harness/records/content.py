"""What a record's line must hold to be believed: its digest, and scores that can be scores."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from harness.schema import DIAGNOSTICS, Record

DIGITS = 16
SEAM = b', "digest": "'  # between a line's other fields and its digest, which stands last
ORDER = {field.name: place for place, field in enumerate(dataclasses.fields(Record))}
CHOSEN_BY = "map_at_r"  # the score that trials are chosen by
COUNTS = ("queries",)  # among the scores: no shares of 1


def sealed_line(fields: Mapping[str, Any]) -> bytes:
    """A record's fields as its line, with the digest over all others at the end.

    ValueError for a number that JSON does not have.
    """
    others = {name: value for name, value in fields.items() if name != "digest"}
    content = json.dumps(others, allow_nan=False)
    return content[:-1].encode() + SEAM + digest_of(content.encode()).encode() + b'"}\n'


def digest_of(content: bytes) -> str:
    """The digest of a line without its digest."""
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def is_altered(line: bytes, digest: str) -> bool:
    """Whether a line's other fields are not those that its digest was made of.

    A program that lays the same fields out in another way alters nothing.
    """
    seam = line.rfind(SEAM)
    ends_there = line[seam:].rstrip() == SEAM + digest.encode() + b'"}'  # nothing stands behind it
    if ends_there and digest_of(line[:seam] + b"}") == digest:
        return False
    fields = orjson.loads(line)
    del fields["digest"]
    ordered = {name: fields[name] for name in sorted(fields, key=lambda name: ORDER[name])}
    return digest_of(json.dumps(ordered).encode()) != digest


def impossible(record: Record) -> str | None:
    """What of a record's scores and diagnostics no run can have left, or None."""
    if record.failure is None and not record.scores:
        return "it has neither a failure nor scores"
    for name, value in record.scores.items():
        if not _is_number(value) or value < 0 or (value > 1 and name not in COUNTS):
            allowed = "a count" if name in COUNTS else "a share of 1, so 0 to 1"
            return f"its {name} is {value!r}, which is not {allowed}"
    if record.failure is None and CHOSEN_BY not in record.scores:
        return f"it has no {CHOSEN_BY} among its scores"
    for name, value in (record.diagnostics or {}).items():
        if name not in DIAGNOSTICS:
            return f"its diagnostic {name} is none of {', '.join(DIAGNOSTICS)}"
        low, high = DIAGNOSTICS[name].low, DIAGNOSTICS[name].high
        if not _is_number(value) or not low <= value <= high or math.isinf(value):
            return f"its {name} is {value!r}, which is no finite number from {low} to {high}"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
