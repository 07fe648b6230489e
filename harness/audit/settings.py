"""Settings behind a printed number: which are known, and what each is known to be worth."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

from harness.audit.claims import Claim
from harness.schema import Problem

SETTINGS = (
    "trunk", "dim", "crop", "pretrained", "tuned_on", "test_epoch", "bn_frozen", "pooling",
    "extra_components", "n_runs",
)  # fmt: skip
UNKNOWN = {"", "None", "unknown", "unspecified"}
CROPS = {
    "224": "224 or 227", "227": "224 or 227", "small_unspecified": "224 or 227",
    "256": "256", "large_unspecified": "256",
}  # fmt: skip
Unequal = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Fact:
    """What a paper's released code does, by method; it holds of numbers `reported_by` its authors.

    The fact "best_test_epoch_kept" makes an epoch picked on the test classes.
    """

    method: str
    reported_by: str
    fact: str
    detail: str
    source: str


@dataclass(frozen=True)
class Effect:
    """Points that a metric gains when one setting goes from `low` to `high`, all else equal.

    The median over `n` pairs of printed numbers, or one value from the `source`.
    """

    setting: str
    low: str
    high: str
    dataset: str
    metric: str
    points: float
    n: int
    source: str


def read_facts(path: Path) -> list[Fact]:
    """The facts of a CSV file with the columns method, reported_by, fact, detail, source."""
    with path.open(newline="", encoding="utf-8") as lines:
        return [Fact(**row) for row in _rows(lines, tuple(Fact.__annotations__), path.name)]


def read_effects(path: Path) -> list[Effect]:
    """Known effects from a CSV file: setting, low, high, dataset, metric, points, source."""
    columns = ("setting", "low", "high", "dataset", "metric", "points", "source")
    with path.open(newline="", encoding="utf-8") as lines:
        rows = _rows(lines, columns, path.name)
        return [
            Effect(r["setting"], r["low"], r["high"], r["dataset"], r["metric"],
                   float(r["points"]), 1, r["source"])
            for r in rows
        ]  # fmt: skip


UNFAIR = {
    "better_architecture_undisclosed", "higher_dimension_undisclosed", "omitted_detail",
    "larger_crop_than_competitors", "code_uses_random_resized_crop",
}  # fmt: skip


def read_unfair(path: Path) -> list[Fact]:
    """What MLRC's supplement lists of papers' unfair comparisons, as facts by method.

    Columns: paper, methods (ours, by spaces), venue, year, url, fact, detail, evidence_url.
    """
    columns = ("paper", "methods", "venue", "year", "url", "fact", "detail", "evidence_url")
    with path.open(newline="", encoding="utf-8") as lines:
        rows = [r for r in _rows(lines, columns, path.name) if r["fact"] in UNFAIR]
    return [
        Fact(method, "own", row["fact"], row["detail"], f"MLRC supplement on {row['paper']}")
        for row in rows
        for method in row["methods"].split()
    ]


def _rows(lines: Iterable[str], columns: tuple[str, ...], name: str) -> list[dict[str, str]]:
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != columns:
        raise Problem(f"{name}, line 1: the columns must be {', '.join(columns)}")
    return list(reader)


def settings(claim: Claim, facts: Sequence[Fact] = ()) -> dict[str, str]:
    """The known settings of a claim: setting -> value, crops by their size group."""
    told = {name: str(getattr(claim, name, "")) for name in SETTINGS}
    told["trunk"] = told["trunk"].removesuffix("(as grouped)")
    told["crop"] = CROPS.get(told["crop"], told["crop"])
    kept = any(fact.fact == "best_test_epoch_kept" for fact in known_of(claim, facts))
    if claim.tuned_on == "test" and kept:
        told["test_epoch"] = "best test epoch kept"
    elif claim.tuned_on == "val" or claim.tuned_on.startswith("cv"):
        told["test_epoch"] = "not picked on test"
    return {name: value for name, value in told.items() if value not in UNKNOWN}


def known_of(claim: Claim, facts: Sequence[Fact]) -> list[Fact]:
    """The facts that hold of a claim: of its method, and of its authors' own (or quoted) number."""
    own = claim.reported_by in ("own", "quoted")
    return [f for f in facts if own and f.method == claim.method and f.reported_by == "own"]


def unequal(a: Mapping[str, str], b: Mapping[str, str]) -> Unequal:
    """The settings known on both sides and different: setting -> (a's, b's)."""
    return {name: (a[name], b[name]) for name in SETTINGS if name in a and name in b
            and a[name] != b[name]}  # fmt: skip


def effects(claims: Sequence[Claim], known: Sequence[Effect] = ()) -> dict[str, Effect]:
    """What single settings are worth, from pairs of claims that differ in nothing else.

    A pair shares the document, method, dataset, metric, category and reporter; `known` effects from
    elsewhere come besides, where the claims give none. Keys: see `_key`.
    """
    groups: dict[tuple[object, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        if "as grouped" in claim.trunk:  # the quoting table's word, not the quoted paper's
            continue
        groups[(claim.paper, claim.table, claim.method, *claim.cell, claim.reported_by)].append(
            claim
        )
    gains: dict[tuple[str, str, str, str, str], list[tuple[float, str]]] = defaultdict(list)
    for group in groups.values():
        for a, b in combinations(group, 2):
            left, right = settings(a), settings(b)
            left.pop("test_epoch", None), right.pop("test_epoch", None)
            apart = unequal(left, right)
            if len(apart) == 1 and set(left) == set(right):
                ((name, values),) = apart.items()
                low, high = _ordered(*values)
                sign = 1 if values[1] == high else -1
                gain = sign * (b.value - a.value)
                gains[(name, low, high, a.dataset, a.metric)].append((gain, a.paper))
    found = {_key(e.setting, e.low, e.high, e.dataset, e.metric): e for e in known}
    for key, told in gains.items():
        papers = ", ".join(sorted({paper for _, paper in told}))
        points = round(median(gain for gain, _ in told), 4) + 0.0  # no -0
        found[_key(*key)] = Effect(*key, points, len(told), papers)
    return found


def _key(setting: str, one: str, other: str, dataset: str, metric: str) -> str:
    low, high = _ordered(one, other)
    return f"{setting} {low} {high} {dataset} {metric}"


def worth(found: Mapping[str, Effect], setting: str, one: str, other: str, claim: Claim) -> str:
    """In words: what going from `one` to `other` is known to be worth for this claim's metric."""
    effect = found.get(_key(setting, one, other, claim.dataset, claim.metric))
    if effect is None:
        return "effect not known"
    points = (effect.points if other == effect.high else -effect.points) + 0.0
    return f"worth {points:+.1f} (median of {effect.n})"


def _ordered(one: str, other: str) -> tuple[str, str]:
    """Numbers by size, words by letter."""
    if one.isdigit() and other.isdigit():
        return (one, other) if int(one) <= int(other) else (other, one)
    return (one, other) if one <= other else (other, one)
