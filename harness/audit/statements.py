"""Statements of papers about their numbers, as data: who beats whom, where, in how many cells."""

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

    text: what the paper says, in our words (`said` in the file); where_said: its place there.
    a, b, where, exclude: they select claims, column -> allowed values. A's and B's numbers are
    compared where they agree in `pair_by`. by: the points that A must be ahead (negative: may be
    behind). k, n: A is claimed to win k of n cells. rank: A's place among all of `where`. factor:
    how many times faster A is. addition: the part that A's methods add to B's names. note: what we
    had to choose.
    """

    statement_id: str
    paper: str
    text: str
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


FILE_NAMES = {"text": "said"}  # field of Statement -> its name in the file, where they differ
FIELDS = tuple(FILE_NAMES.get(f.name, f.name) for f in dataclasses.fields(Statement))
REQUIRED = ("statement_id", "paper", "said", "where_said", "kind")
NEEDED_BY_KIND = {
    "beats_in": "k",
    "converges_faster": "factor",
    "improves_everywhere": "addition",
}


def read(path: Path) -> list[Statement]:
    """The statements of a JSON file: a list of objects with the fields of `Statement`."""
    try:
        items = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(f"{path}: no such file; give a JSON file of statements") from None
    except json.JSONDecodeError as error:
        raise Problem(f"{path.name}, line {error.lineno}: no valid JSON, {error.msg}") from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Problem(f"{path.name}: a list of statements is needed")
    statements = [
        _statement(item, f"{path.name}, statement {i + 1}") for i, item in enumerate(items)
    ]
    names = [statement.statement_id for statement in statements]
    for name in names:
        if names.count(name) > 1:
            raise Problem(f"{path.name}: two statements are called {name!r}; rename one")
    return statements


def _statement(item: Mapping[str, Any], where: str) -> Statement:
    missing = [name for name in REQUIRED if not item.get(name)]
    unknown = [name for name in item if name not in FIELDS]
    if missing or unknown:
        what = f"unknown field {unknown[0]!r}" if unknown else f"no {', '.join(missing)}"
        raise Problem(f"{where}: {what}; the fields are {', '.join(FIELDS)}")
    if item["kind"] not in typing.get_args(Kind):
        kinds = ", ".join(typing.get_args(Kind))
        raise Problem(f"{where}: kind = {item['kind']!r}; allowed: {kinds}")
    values = dict(item)
    for field_name, file_name in FILE_NAMES.items():
        values[field_name] = values.pop(file_name)
    for name in ("a", "b", "where", "exclude"):
        values[name] = _filter(item.get(name, {}), f"{where}, {name}")
    if "pair_by" in values:
        values["pair_by"] = tuple(values["pair_by"])
    statement = Statement(**values)
    need = NEEDED_BY_KIND.get(statement.kind)
    if need and getattr(statement, need) is None:
        raise Problem(f"{where}: kind {statement.kind} needs {need}")
    return statement


def _filter(item: Mapping[str, Any], where: str) -> Filter:
    columns = {f.name for f in dataclasses.fields(Claim)}
    allowed = {}
    for column, value in item.items():
        if column not in columns:
            raise Problem(
                f"{where}: unknown column {column!r}; allowed: {', '.join(sorted(columns))}"
            )
        values = [str(v) for v in (value if isinstance(value, list) else [value])]
        if column == "metric":
            values = [printed_name(v) or v for v in values]
        allowed[column] = tuple(values)
    return allowed


def selected(claims: Sequence[Claim], *filters: Filter) -> list[Claim]:
    """The claims that every filter admits: each named column holds one of the allowed values."""
    return [claim for claim in claims if all(_admits(filter_, claim) for filter_ in filters)]


def _admits(filter_: Filter, claim: Claim) -> bool:
    return all(str(getattr(claim, column)) in allowed for column, allowed in filter_.items())


def pairs(statement: Statement, claims: Sequence[Claim]) -> list[Pair]:
    """The comparisons a statement makes: of printed numbers, or of names if none is printed."""
    document = {"arxiv": (statement.arxiv,)} if statement.arxiv else {"paper": (statement.paper,)}
    scope = selected(claims, document, statement.where)
    if statement.exclude:
        scope = [claim for claim in scope if not _admits(statement.exclude, claim)]
    left, right = selected(scope, statement.a), selected(scope, statement.b)
    printed = [(_side(a), _side(b)) for a, b in product(left, right) if _compares(statement, a, b)]
    return printed or _unprinted(statement)


def _side(claim: Claim) -> Side:
    return Side(claim.method, claim.dataset, claim.category, claim.metric, claim)


def _compares(statement: Statement, a: Claim, b: Claim) -> bool:
    if a is b or any(getattr(a, column) != getattr(b, column) for column in statement.pair_by):
        return False
    if statement.kind == "best_among" and a.method == b.method:
        return False
    return _names_differ_by_addition(statement, a.method, b.method)


def _names_differ_by_addition(statement: Statement, a: str, b: str) -> bool:
    addition = statement.addition
    return addition is None or a in (f"{addition}_{b}", f"{b}_{addition}")


def _unprinted(statement: Statement) -> list[Pair]:
    """Pairs of sides without claims, from the names that the statement's filters allow."""

    def allowed(filter_: Filter, column: str) -> tuple[str, ...]:
        return filter_.get(column) or statement.where.get(column) or ()

    def sides(filter_: Filter, dataset: str, metric: str) -> list[Side]:
        categories = allowed(filter_, "category") or ("complete",)
        return [
            Side(method, dataset, category, metric)
            for method, category in product(allowed(filter_, "method"), categories)
        ]

    where = statement.where
    metrics = (STEPS,) if statement.kind == "converges_faster" else where.get("metric", ())
    result = []
    for dataset, metric in product(where.get("dataset", ()), metrics):
        left, right = (sides(f, dataset, metric) for f in (statement.a, statement.b))
        for a, b in product(left, right):
            same_category = "category" not in statement.pair_by or a.category == b.category
            if (
                a != b
                and same_category
                and _names_differ_by_addition(statement, a.method, b.method)
            ):
                result.append((a, b))
    return result
