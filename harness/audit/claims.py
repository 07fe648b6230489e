"""Published numbers as data: one Claim each, read from CSV or BibTeX and checked line by line."""

from __future__ import annotations

import csv
import dataclasses
import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.audit.bibtex import rows_of_bibtex
from harness.measure.intervals import Interval, summary
from harness.schema import Problem

REQUIRED = ("paper", "method", "dataset", "metric", "value")
METRICS = {
    "MAP@R": "map_at_r",
    "RP": "r_precision",
    "P@1": "precision_at_1",
    "NMI": "nmi",
    "F1": "f1",
    "AvgDTP": "avg_dtp",
    "verification_accuracy": "verification_accuracy",
}  # printed name -> name in our records; also R@K -> recall_at_K
UNBOUNDED = {"AvgDTP"}
ALLOWED: Mapping[str, str] = {
    "spread_kind": r"none|ci95|std",
    "category": r"aggregate|ensemble|complete|single",
    "tuned_on": r"val|test|unknown|cv\d+",
    "bn_frozen": r"yes|no|unknown|unspecified",
    "reported_by": r"own|quoted|re-run|unknown",
    "evidence": r"primary|secondary|issue|unknown",
}
PROBLEMS_SHOWN = 5  # a message names at most this many problems of a file


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One printed number and the settings it was obtained under; an unknown setting is "unknown".

    `value` and `spread` are in the unit of the metric: percent, except for AvgDTP. `runs` are the
    single runs where a source prints them. `line` is the line of the file that holds the claim.
    """

    claim_id: str
    paper: str
    method: str
    dataset: str
    metric: str
    value: float
    paper_year: str = ""
    arxiv: str = ""
    table: str = ""
    spread: float | None = None
    spread_kind: str = "none"
    n_runs: int | None = None
    runs: tuple[float, ...] = ()
    trunk: str = "unknown"
    dim: int | None = None
    category: str = "single"
    crop: str = "unknown"
    pretrained: str = "unknown"
    tuned_on: str = "unknown"
    bn_frozen: str = "unknown"
    pooling: str = "unknown"
    extra_components: str = ""
    reported_by: str = "unknown"
    quoted_from: str = ""
    evidence: str = "unknown"
    source: str = ""
    line: int = 0

    @property
    def cell(self) -> tuple[str, str, str]:
        """The column that the number stands in: dataset, category, metric."""
        return self.dataset, self.category, self.metric

    @property
    def score(self) -> str:
        """The metric's name in our records."""
        return score_name(self.metric)

    @property
    def interval(self) -> Interval | None:
        """The 95 % t interval of the printed spread; None without a spread or with n < 2."""
        if self.spread is None or self.n_runs is None or self.n_runs < 2:
            return None
        if self.spread_kind == "std":
            return summary(self.value, self.spread, self.n_runs)
        return Interval(self.value, self.spread, self.n_runs)

    @property
    def printed(self) -> str:
        """The number as a table prints it, with the kind of its spread and the number of runs."""
        if self.spread is None:
            return f"{self.value:g}"
        of = f", n = {self.n_runs}" if self.n_runs else ", n not stated"
        return f"{self.value:g} ± {self.spread:g} ({self.spread_kind}{of})"


COLUMNS = tuple(f.name for f in dataclasses.fields(Claim) if f.name != "line")
NOT_IDENTIFYING = ("claim_id", "value", "spread", "runs", "source")
IDENTIFYING = tuple(column for column in COLUMNS if column not in NOT_IDENTIFYING)


def score_name(metric: str) -> str:
    """Our records' name of a printed metric: MAP@R -> map_at_r, R@4 -> recall_at_4."""
    return METRICS.get(metric, "") or f"recall_at_{metric.removeprefix('R@')}"


def printed_name(metric: str) -> str | None:
    """The printed name of a metric given by either name; None if it is unknown."""
    by_score = {score: name for name, score in METRICS.items()}
    recall = re.fullmatch(r"(?:R@|recall_at_)([1-9]\d*)", metric)
    if recall:
        return f"R@{recall[1]}"
    return metric if metric in METRICS else by_score.get(metric)


def read(path: Path, known: Sequence[Claim] = ()) -> list[Claim]:
    """The claims of a CSV file (see results/published/README.md) or of a BibTeX file (`.bib`).

    A Problem names the lines with a wrong header, a value out of its range, an unknown metric or a
    repeated claim (repeated in the file, or already among the `known` claims).
    """
    if not path.is_file():
        raise Problem(f"{path}: no such file; give a CSV or a .bib file of claims")
    if path.suffix == ".bib":
        rows = rows_of_bibtex(path.read_text(encoding="utf-8"), path.name, COLUMNS)
        return _checked(rows, path.name, known)
    with path.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        _check_header(list(reader.fieldnames or []), path.name)
        return _checked([(reader.line_num, dict(row)) for row in reader], path.name, known)


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


def _checked(
    rows: Iterable[tuple[int, Mapping[str, str | None]]], name: str, known: Sequence[Claim] = ()
) -> list[Claim]:
    """Claims of (line, row) pairs; one Problem names every wrong line."""
    claims: list[Claim] = []
    problems: list[str] = []
    places = {key: f"is {claim.claim_id} already" for claim in known for key in _keys(claim)}
    for line, row in rows:
        try:
            claim = _claim(line, row)
            for key in _keys(claim):
                if key in places:
                    raise Problem(f"the claim {places[key]}; keep one")
                places[key] = (
                    f"({claim.method} {claim.dataset} {claim.metric}) is on line {line} already"
                )
            claims.append(claim)
        except Problem as problem:
            problems.append(f"line {line}: {problem}")
    if problems:
        hidden = len(problems) - PROBLEMS_SHOWN
        more = f" (and {hidden} more)" if hidden > 0 else ""
        raise Problem(f"{name}, " + "; ".join(problems[:PROBLEMS_SHOWN]) + more)
    return claims


def _keys(claim: Claim) -> tuple[object, object]:
    """What no two claims may share: the identifying columns together, and the id."""
    return tuple(getattr(claim, column) for column in IDENTIFYING), claim.claim_id


def _claim(line: int, row: Mapping[str, str | None]) -> Claim:
    if None in row:
        raise Problem("more fields than the header has columns; quote a field that holds a comma")
    texts = {column: text.strip() for column, text in row.items() if text and text.strip()}
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
            raise Problem(f"{column} = {texts[column]!r}; allowed: {pattern.replace('|', ', ')}")
    value, spread = _value(texts, metric), _spread(texts)
    dim, n_runs = (_count(texts, column) for column in ("dim", "n_runs"))
    runs = tuple(_number(text, "runs") for text in texts.get("runs", "").split("|") if text)
    fields: dict[str, Any] = {**texts, "metric": metric, "value": value, "spread": spread}
    fields |= {"dim": dim, "n_runs": n_runs, "runs": runs, "line": line}
    id_columns = ("arxiv", "table", "method", "dataset", "metric", "category")
    parts = [fields[column] for column in id_columns if column in fields]
    fields.setdefault("claim_id", ".".join([*parts, f"line{line}"]))
    return Claim(**fields)


def _value(texts: Mapping[str, str], metric: str) -> float:
    value = _number(texts["value"], "value")
    if metric not in UNBOUNDED and 0 < value < 1:
        raise Problem(f"value = {value:g} looks like a share of 1; write percent ({100 * value:g})")
    if value < 0 or (metric not in UNBOUNDED and value > 100):
        allowed = "0 or more" if metric in UNBOUNDED else "0 to 100 (percent)"
        raise Problem(f"value = {value:g} is out of range for {metric}: {allowed}")
    return value


def _spread(texts: Mapping[str, str]) -> float | None:
    if ("spread" in texts) != (texts.get("spread_kind", "none") != "none"):
        raise Problem("spread and spread_kind (ci95 or std) are given together or not at all")
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
        raise Problem(f"{column} = {text!r} is no number")
    return number


def _count(texts: Mapping[str, str], column: str) -> int | None:
    if column not in texts:
        return None
    if not re.fullmatch(r"[1-9]\d*", texts[column]):
        raise Problem(f"{column} = {texts[column]!r}; a whole number of 1 or more is needed")
    return int(texts[column])
