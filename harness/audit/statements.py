"""What papers say of their numbers, as data: who beats whom, where, in how many cells."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

from harness.audit.claims import Claim, printed_name
from harness.schema import Problem

Kind = Literal[
    "beats", "beats_in", "best_among", "improves_everywhere", "comparable", "converges_faster"
]
Filter = Mapping[str, tuple[str, ...]]
STEPS = "steps_to_threshold"  # the evidence that converges_faster needs; fewer is better


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One sentence of a paper about its numbers.

    `a`, `b`, `where` and `exclude` select claims: column -> allowed values. A's and B's numbers are
    compared where they agree in `pair_by`. `by`: the points that A must be ahead (negative: may be
    behind); `k` of `n`: the cells said to be won; `rank`: A's place among all of `where`; `factor`:
    how many times faster; `addition`: what A's methods have over B's in their names. `note` says
    what we had to choose.
    """

    statement_id: str
    paper: str
    said: str
    where_said: str
    kind: Kind
    arxiv: str = ""
    a: Filter = field(default_factory=dict)
    b: Filter = field(default_factory=dict)
    where: Filter = field(default_factory=dict)
    exclude: Filter = field(default_factory=dict)
    pair_by: tuple[str, ...] = ("dataset", "category", "metric")
    k: int | None = None
    n: int | None = None
    by: float = 0.0
    rank: int = 1
    factor: float | None = None
    addition: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Side:
    """One side of a comparison: its loss, dataset, category, metric and the claim, if printed."""

    method: str
    dataset: str
    category: str
    metric: str
    claim: Claim | None = None


Pair = tuple[Side, Side]  # A's side, B's side


def read(path: Path) -> list[Statement]:
    """The statements of a JSON file: a list of objects with the fields of `Statement`."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(f"{path}: no such file; give a JSON file of statements") from None
    except json.JSONDecodeError as error:
        raise Problem(f"{path.name}, line {error.lineno}: no valid JSON, {error.msg}") from None
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise Problem(f"{path.name}: a list of statements is needed")
    statements = [
        _statement(item, f"{path.name}, statement {i + 1}") for i, item in enumerate(listed)
    ]
    names = [statement.statement_id for statement in statements]
    for name in names:
        if names.count(name) > 1:
            raise Problem(f"{path.name}: two statements are called {name!r}; rename one")
    return statements


def _statement(item: Mapping[str, Any], where: str) -> Statement:
    fields = {f.name: f for f in dataclasses.fields(Statement)}
    needed = ("statement_id", "paper", "said", "where_said", "kind")
    missing = [name for name in needed if not item.get(name)]
    unknown = [name for name in item if name not in fields]
    if missing or unknown:
        what = f"unknown field {unknown[0]!r}" if unknown else f"no {', '.join(missing)}"
        raise Problem(f"{where}: {what}; the fields are {', '.join(fields)}")
    if item["kind"] not in typing.get_args(Kind):
        kinds = ", ".join(typing.get_args(Kind))
        raise Problem(f"{where}: kind = {item['kind']!r}; allowed: {kinds}")
    told = dict(item)
    for name in ("a", "b", "where", "exclude"):
        told[name] = _filter(item.get(name, {}), f"{where}, {name}")
    if "pair_by" in told:
        told["pair_by"] = tuple(told["pair_by"])
    statement = Statement(**told)
    needs = {"beats_in": "k", "converges_faster": "factor", "improves_everywhere": "addition"}
    need = needs.get(statement.kind)
    if need and getattr(statement, need) is None:
        raise Problem(f"{where}: kind {statement.kind} needs {need}")
    return statement


def _filter(told: Mapping[str, Any], where: str) -> Filter:
    columns = {f.name for f in dataclasses.fields(Claim)}
    found = {}
    for column, value in told.items():
        if column not in columns:
            raise Problem(
                f"{where}: unknown column {column!r}; allowed: {', '.join(sorted(columns))}"
            )
        values = [str(v) for v in (value if isinstance(value, list) else [value])]
        if column == "metric":
            values = [printed_name(v) or v for v in values]
        found[column] = tuple(values)
    return found


def selected(claims: Sequence[Claim], *filters: Filter) -> list[Claim]:
    """The claims that every filter admits: each named column holds one of the allowed values."""
    return [
        claim
        for claim in claims
        if all(str(getattr(claim, c)) in allowed for f in filters for c, allowed in f.items())
    ]


def _excluded(statement: Statement, side: Side | Claim) -> bool:
    told = statement.exclude.items()
    return bool(told) and all(str(getattr(side, column, "")) in values for column, values in told)


def pairs(statement: Statement, claims: Sequence[Claim]) -> list[Pair]:
    """The comparisons a statement makes: of printed numbers, or of names if none is printed."""
    own = {"arxiv": (statement.arxiv,)} if statement.arxiv else {"paper": (statement.paper,)}
    scope = selected(claims, own, statement.where)
    scope = [claim for claim in scope if not _excluded(statement, claim)]
    left, right = selected(scope, statement.a), selected(scope, statement.b)
    found = [(_side(a), _side(b)) for a, b in product(left, right) if _meet(statement, a, b)]
    return found or _unprinted(statement)


def _side(claim: Claim) -> Side:
    return Side(claim.method, claim.dataset, claim.category, claim.metric, claim)


def _meet(statement: Statement, a: Claim, b: Claim) -> bool:
    if a is b or any(getattr(a, column) != getattr(b, column) for column in statement.pair_by):
        return False
    if statement.kind == "best_among" and a.method == b.method:
        return False
    return _adds(statement, a.method, b.method)


def _adds(statement: Statement, a: str, b: str) -> bool:
    added = statement.addition
    return added is None or a in (f"{added}_{b}", f"{b}_{added}")


def _unprinted(statement: Statement) -> list[Pair]:
    def values(told: Filter, column: str) -> tuple[str, ...]:
        return told.get(column) or statement.where.get(column) or ()

    metrics = (STEPS,) if statement.kind == "converges_faster" else values({}, "metric")
    found = []
    for dataset, metric in product(values({}, "dataset"), metrics):
        sides = [
            [Side(m, dataset, c, metric) for m, c in product(values(f, "method"), categories)]
            for f in (statement.a, statement.b)
            for categories in [values(f, "category") or ("complete",)]
        ]
        for a, b in product(*sides):
            together = "category" not in statement.pair_by or a.category == b.category
            if a != b and together and _adds(statement, a.method, b.method):
                found.append((a, b))
    return found
