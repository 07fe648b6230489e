"""One line of a record file to its fields, without the curve: most of a line, and of no table.

Exactly as strict as parsing all of it. The parts that are left out or taken from an earlier line
are checked by themselves, and a line that is not laid out as `records.append` writes it is parsed
in full, so that what is wrong with it is told in the same words.
"""

from __future__ import annotations

import json
import re
from typing import Any

NUMBER = r"-?(?:0|[1-9]\d*+)(?:\.\d++)?+(?:e[-+]?\d++)?+"
CURVE = re.compile(
    r'\[(?:(?:(?<!\[), )?\{"phase": "(?:normal|followup)", "epoch": (?:0|[1-9]\d*+), "loss": '
    rf'{NUMBER}(?:, "map_at_r": {NUMBER})?+\}}(?=\]|, \{{))*+\]',
    re.ASCII,
)
# A part's beginning and the key after it; both hold quotes that no text within a line can hold.
PARTS = (('"params": ', ', "trial": '), ('"provenance": ', ', "format": '))
BEFORE_CURVE, AFTER_CURVE = '"curve": ', ', "epochs": '


def without_curve(line: str, seen: dict[str, Any]) -> dict[str, Any]:
    """The fields of a line with an empty curve; `seen` keeps parts that other lines share.

    ValueError where the line is not JSON, TypeError where it is no object.
    """
    start = line.find(BEFORE_CURVE) + len(BEFORE_CURVE)
    curve = CURVE.match(line, start) if start >= len(BEFORE_CURVE) else None
    if curve is None or not line.startswith(AFTER_CURVE, curve.end()):
        return _whole(line)
    kept = line[:start] + "[]" + line[curve.end() :]
    parts = {}
    for key, after in PARTS:
        start = kept.find(key) + len(key)
        end = kept.find(after, start)
        text = kept[start:end]
        if start < len(key) or end < 0 or not text.startswith("{"):
            return _whole(line)
        if text not in seen:
            try:
                seen[text] = json.loads(text)
            except ValueError:
                return _whole(line)
        parts[key] = seen[text]
        kept = kept[:start] + "{}" + kept[end:]
    try:
        told: dict[str, Any] = json.loads(kept)
    except ValueError:
        return _whole(line)
    told["params"], told["provenance"] = (parts[key] for key, _ in PARTS)
    return told


def _whole(line: str) -> dict[str, Any]:
    told = json.loads(line)
    if not isinstance(told, dict):
        raise TypeError(f"{type(told).__name__}, not an object")
    if "curve" not in told:
        raise TypeError("no curve")
    return told | {"curve": []}
