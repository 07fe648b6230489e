"""Statements of papers about their numbers, as data: who beats whom, where, in how many cells."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.audit.claims import COLUMNS, Claim, dataset_name, printed_name
from harness.audit.findings import LeftOut
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
    how many times faster A is. addition: the part that A's methods add to B's names. general: false
    where it speaks of its own datasets alone, so that others cannot test it. note: what we had to
    choose.
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
    general: bool = True
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
TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("a", "b", "where", "exclude"), (dict,)),
    **dict.fromkeys(("k", "n", "rank"), (int,)),
    **dict.fromkeys(("by", "factor"), (int, float)),
    "pair_by": (list,),
    "general": (bool,),
}  # the types of the fields that hold no text
TYPE_WORDS = {
    str: "text",
    dict: "an object",
    list: "a list",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}
NEEDED_BY_KIND = {
    "beats_in": "k",
    "converges_faster": "factor",
    "improves_everywhere": "addition",
}


class Statements(NamedTuple):
    """The statements of a file, and those that were left out."""

    statements: list[Statement]
    left_out: list[LeftOut]


def read(path: Path, taken: Sequence[str] = ()) -> Statements:
    """The statements of a JSON file: a list of objects with the fields of `Statement`.

    A faulty statement is left out, and so is one whose id stands in the file or in `taken` already.
    A Problem tells of a file that is no such list.
    """
    try:
        items = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise Problem(f"{path}: no such file; give a JSON file of statements") from None
    except (ValueError, RecursionError) as error:  # also for a number of 5,000 digits
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise Problem(f"{path.name}{where}: no valid JSON, {error}") from None
    if not isinstance(items, list):
        raise Problem(f"{path.name}: a list of statements is needed, as in results/published")
    result = Statements([], [])
    names = set(taken)
    for number, item in enumerate(items, start=1):
        try:
            statement = _statement(item)
            if statement.statement_id in names:
                name = statement.statement_id
                raise Problem(f"another statement is called {name!r}; rename one")
            names.add(statement.statement_id)
            result.statements.append(statement)
        except Problem as problem:
            result.left_out.append(LeftOut(f"{path.name}, statement {number}", str(problem)))
    return result


def _statement(item: object) -> Statement:
    if not isinstance(item, dict):
        raise Problem(f"{item!r}: an object with the fields {', '.join(FIELDS)} is needed")
    missing = [name for name in REQUIRED if not item.get(name)]
    unknown = [name for name in item if name not in FIELDS]
    if missing or unknown:
        what = f"unknown field {unknown[0]!r}" if unknown else f"no {', '.join(missing)}"
        raise Problem(f"{what}; the fields are {', '.join(FIELDS)}")
    if item["kind"] not in typing.get_args(Kind):
        kinds = ", ".join(typing.get_args(Kind))
        raise Problem(f"kind = {item['kind']!r}; allowed: {kinds}")
    values = {name: value for name, value in item.items() if value is not None}
    for name, value in values.items():
        allowed = TYPES.get(name, (str,))
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            words = " or ".join(TYPE_WORDS[allowed_type] for allowed_type in allowed)
            raise Problem(f"{name} = {value!r}; {words} is needed")
    for field_name, file_name in FILE_NAMES.items():
        values[field_name] = values.pop(file_name)
    for name in ("a", "b", "where", "exclude"):
        values[name] = _filter(item.get(name) or {}, name)
    if "pair_by" in values:
        values["pair_by"] = tuple(_column(str(column), "pair_by") for column in values["pair_by"])
    statement = Statement(**values)
    need = NEEDED_BY_KIND.get(statement.kind)
    if need and getattr(statement, need) is None:
        raise Problem(f"kind {statement.kind} needs {need}")
    if statement.factor is not None and statement.factor <= 0:
        raise Problem(f"factor = {statement.factor:g}; a number above 0 is needed")
    return statement


def _filter(item: Mapping[str, Any], where: str) -> Filter:
    allowed = {}
    for column, value in item.items():
        _column(column, where)
        values = [str(v) for v in (value if isinstance(value, list) else [value])]
        if column == "metric":
            values = [printed_name(v) or v for v in values]
        if column == "dataset":
            values = [dataset_name(v) for v in values]
        allowed[column] = tuple(values)
    return allowed


def _column(name: str, where: str) -> str:
    if name not in COLUMNS:
        raise Problem(f"{where}: unknown column {name!r}; allowed: {', '.join(sorted(COLUMNS))}")
    return name


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
