"""The audit's findings about the losses on a page, from what `audit --json` printed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.schema import Problem

NO_DOUBT = ("consistent", "comparable", "no evidence")  # verdicts that are counted, not listed
FIELDS = dict.fromkeys(("check", "subject", "paper", "verdict", "reason"), str) | {"numbers": dict}


@dataclass(frozen=True)
class Findings:
    """Findings to list, and how many of the other verdicts there are."""

    listed: Sequence[Mapping[str, Any]]
    counted: Sequence[tuple[str, int]]


def read(text: str, name: str) -> list[dict[str, Any]]:
    """The findings in a text; Problem, which calls it `name`, where it is not of `audit --json`."""
    try:
        findings = json.loads(text)
    except ValueError:
        findings = None
    is_list = isinstance(findings, list) and all(isinstance(one, dict) for one in findings)
    if not is_list or not all(
        isinstance(one.get(name), kind) for one in findings for name, kind in FIELDS.items()
    ):
        raise Problem(f"{name} is not what `python -m harness audit --json > FILE` writes")
    return list(findings)


def about(findings: Sequence[Mapping[str, Any]], losses: Collection[str]) -> Findings | None:
    """Those about one of the losses; None where there are none."""
    chosen = [one for one in findings if _losses_of(one) & set(losses)]
    if not chosen:
        return None
    counted = Counter(one["verdict"] for one in chosen if one["verdict"] in NO_DOUBT)
    listed = [one for one in chosen if one["verdict"] not in NO_DOUBT]
    return Findings(listed, counted.most_common())


def _losses_of(finding: Mapping[str, Any]) -> set[str]:
    """The losses that the names of claims hold, or that a statement compares."""
    names = set(re.split(r"[. ]", finding["subject"]))
    for cell in finding["numbers"].get("cells") or []:
        if isinstance(cell, str):  # a claim's name
            names |= set(cell.split("."))
        else:
            names |= {cell.get("a"), cell.get("b")}
    return names
