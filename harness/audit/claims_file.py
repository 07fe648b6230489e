"""Files of claims, CSV or BibTeX, checked row by row: a bad row is left out, with the reason."""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.audit.bibtex import rows_of_bibtex
from harness.audit.claims import (
    COLUMNS,
    IDENTIFYING,
    METRICS,
    UNBOUNDED,
    Claim,
    dataset_name,
    printed_name,
)
from harness.audit.findings import LeftOut
from harness.schema import Problem

REQUIRED = ("paper", "method", "dataset", "metric", "value")
ALLOWED: Mapping[str, str] = {
    "spread_kind": r"none|ci95|std|other",
    "category": r"aggregate|ensemble|complete|single",
    "tuned_on": r"val|test|unknown|cv\d+",
    "bn_frozen": r"yes|no|unknown|unspecified",
    "reported_by": r"own|quoted|re-run|unknown",
    "evidence": r"primary|secondary|issue|unknown",
}


@dataclass(frozen=True)
class Claims:
    """The claims of a file, and the rows that were left out."""

    claims: list[Claim]
    left_out: list[LeftOut]


Row = tuple[int, Mapping[str, str] | Problem]  # line, and the columns or why there are none


def read(path: Path) -> Claims:
    """The claims of a CSV file (see results/published/README.md) or of a BibTeX file (`.bib`).

    A row with a value out of its range, an unknown metric or a claim that stands in the file
    already is left out. A Problem names what concerns the whole file, such as a wrong header.
    """
    if not path.is_file():
        raise Problem(f"{path}: no such file; give a CSV or a .bib file of claims")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(f"{path.name}: not UTF-8 text ({error.reason}); save it as UTF-8") from None
    text = text.lstrip("\ufeff")  # a second byte-order mark, which some editors leave
    if path.suffix == ".bib":
        return _checked(rows_of_bibtex(text, path.name, COLUMNS), path.name)
    return _checked(_rows_of_csv(text, path.name), path.name)


def merged(
    published: Sequence[Claim], yours: Sequence[Claim]
) -> tuple[list[Claim], dict[str, Claim]]:
    """Both files' claims as one list, and the published ones that yours replace, by your ids.

    A claim of yours replaces the published one that it repeats: the one with its id, or the one
    with the same identifying columns.
    """
    by_key = {key: claim for claim in published for key in _keys(claim)}
    replaced: dict[str, Claim] = {}
    gone: set[str] = set()
    for claim in yours:
        repeated = [by_key[key] for key in reversed(_keys(claim)) if key in by_key]
        gone |= {known.claim_id for known in repeated}
        if repeated:
            replaced[claim.claim_id] = repeated[0]
    return [claim for claim in published if claim.claim_id not in gone] + list(yours), replaced


def _rows_of_csv(text: str, name: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            if not header:
                raise Problem(f"{name}, line 1: no valid CSV, {error}") from None
            reason = f"no valid CSV up to line {reader.line_num}, {error}; is a quote not closed?"
            yield first, Problem(reason)
            continue
        if not header:
            header = [cell.strip() for cell in cells]
            _check_header(header, name)
        elif len(cells) > len(header):
            reason = f"{len(cells)} fields, but {len(header)} columns; quote a field with a comma"
            yield first, Problem(reason)
        elif reader.line_num > first:
            reason = f"a field has a line break: it reaches to line {reader.line_num}; "
            yield first, Problem(f"{reason}is a quote not closed?")
        elif any(cell.strip() for cell in cells):
            yield first, dict(zip(header, cells, strict=False))
    if not header:
        _check_header(header, name)


def _check_header(header: list[str], name: str) -> None:
    for column in header:
        if column not in COLUMNS:
            near = difflib.get_close_matches(column or "", COLUMNS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(COLUMNS)}"
            raise Problem(f"{name}, line 1: unknown column {column!r}; {hint}")
    missing = [column for column in REQUIRED if column not in header]
    if missing or len(set(header)) < len(header):
        what = f"no column {', '.join(missing)}" if missing else "a column stands twice"
        raise Problem(f"{name}, line 1: {what}; needed are {', '.join(REQUIRED)}")


def _checked(rows: Iterable[Row], name: str) -> Claims:
    claims: list[Claim] = []
    left_out: list[LeftOut] = []
    places: dict[object, str] = {}
    for line, row in rows:
        try:
            if isinstance(row, Problem):
                raise row
            claim = _claim(line, row)
            for key in _keys(claim):
                if key in places:
                    raise Problem(f"the claim {places[key]}; keep one")
            place = f"({claim.method} {claim.dataset} {claim.metric}) is on line {line} already"
            places |= dict.fromkeys(_keys(claim), place)
            claims.append(claim)
        except Problem as problem:
            left_out.append(LeftOut(f"{name}, line {line}", str(problem)))
    return Claims(claims, left_out)


def _keys(claim: Claim) -> tuple[object, object]:
    """What no two claims may share: the identifying columns together, and the id."""
    return tuple(getattr(claim, column) for column in IDENTIFYING), claim.claim_id


def _claim(line: int, row: Mapping[str, str]) -> Claim:
    texts = {column: text.strip() for column, text in row.items() if text.strip()}
    missing = [column for column in REQUIRED if column not in texts]
    if missing:
        raise Problem(f"no {', '.join(missing)}")
    metric = printed_name(texts["metric"])
    if metric is None:
        raise Problem(
            f"unknown metric {texts['metric']!r}; known: {', '.join(METRICS)}, R@1, R@2 ..."
        )
    for column, pattern in ALLOWED.items():
        if column in texts and not re.fullmatch(pattern, texts[column]):
            allowed = pattern.replace("|", ", ").replace(r"\d+", "4 (or another number of folds)")
            raise Problem(f"{column} = {texts[column]!r}; allowed: {allowed}")
    dim, n_runs = (_count(texts, column) for column in ("dim", "n_runs"))
    runs = [text for text in texts.get("runs", "").split("|") if text.strip()]
    fields: dict[str, Any] = {**texts, "metric": metric, "line": line}
    fields["dataset"] = dataset_name(texts["dataset"])
    fields |= {"value": _value(texts["value"], "value", metric), "spread": _spread(texts)}
    fields |= {"dim": dim, "n_runs": n_runs}
    fields["runs"] = tuple(_value(text, "runs", metric) for text in runs)
    id_columns = ("arxiv", "table", "method", "dataset", "metric", "category")
    parts = [fields[column] for column in id_columns if column in fields]
    fields.setdefault("claim_id", ".".join([*parts, f"line{line}"]))
    return Claim(**fields)


def _value(text: str, column: str, metric: str) -> float:
    value = _number(text, column)
    if metric not in UNBOUNDED and 0 < value < 1:
        percent = f"{100 * value:g}"
        raise Problem(f"{column} = {value:g} looks like a share of 1; write percent ({percent})")
    if value < 0 or (metric not in UNBOUNDED and value > 100):
        allowed = "0 or more" if metric in UNBOUNDED else "0 to 100 (percent)"
        raise Problem(f"{column} = {value:g} is out of range for {metric}: {allowed}")
    return value


def _spread(texts: Mapping[str, str]) -> float | None:
    if ("spread" in texts) != (texts.get("spread_kind", "none") != "none"):
        raise Problem(
            "spread and spread_kind (ci95, std or other) are given together or not at all"
        )
    if "spread" not in texts:
        return None
    spread = _number(texts["spread"], "spread")
    if not 0 <= spread <= 100:
        raise Problem(f"spread = {spread:g} is out of range: 0 to 100")
    return spread


def _number(text: str, column: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Problem(f"{column} = {text!r} is no number; write digits with a point, such as 69.7")
    return number


def _count(texts: Mapping[str, str], column: str) -> int | None:
    if column not in texts:
        return None
    if not re.fullmatch(r"[1-9]\d{0,8}", texts[column]):
        raise Problem(f"{column} = {texts[column]!r}; a whole number of 1 to 999999999 is needed")
    return int(texts[column])
