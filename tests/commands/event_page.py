"""What results/EVENTS.md says of the events of `study --json`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).resolve().parents[2] / "results" / "EVENTS.md").read_text(encoding="utf-8")


def listed() -> list[str]:
    """The events in the page's first table."""
    (table,) = re.findall(r"\| event \|.*?\n\n", PAGE, re.DOTALL)
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def fields() -> dict[str, set[str]]:
    """The fields of each event that has a part of the page."""
    by_event = {}
    for name, part in re.findall(r"\n## `(\w+)`\n(.*?)(?=\n## |\Z)", PAGE, re.DOTALL):
        rows = re.findall(r"^\| (`.*?`) \|", part, re.MULTILINE)
        as_before = re.findall(r"^(`.*?) as in `started`, and$", part, re.MULTILINE)
        by_event[name] = set(re.findall(r"`(\w+)`", " ".join(rows + as_before)))
    return by_event


def check(events: Iterable[Mapping[str, Any]]) -> None:
    """Fail unless every event has the fields of the page; a table may have more of them."""
    by_event = fields()
    for event in events:
        names, documented = set(event) - {"event"}, by_event[event["event"]]
        assert names >= documented, event["event"]
        assert names == documented or event["event"] == "table", event["event"]
