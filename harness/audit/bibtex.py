"""Claims in a BibTeX file: the field `claims` of an entry holds one printed number per line.

    @inproceedings{doe2026, title = {A Loss}, year = {2026}, eprint = {2601.00001},
      claims = {
        warped cub R@1 72.6 spread=0.2 spread_kind=std n_runs=5 trunk=resnet50 dim=512
        warped cars R@1 91.2
      }}

A line gives method, dataset, metric and value, then column=value pairs. The columns are those of
results/published/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.schema import Problem

COLUMN_OF_FIELD = {"title": "paper", "year": "paper_year", "eprint": "arxiv"}
LEADING_COLUMNS = ("method", "dataset", "metric", "value")


def rows_of_bibtex(
    text: str, name: str, columns: Sequence[str]
) -> list[tuple[int, dict[str, str] | Problem]]:
    """(line, row) of every claim of every entry; claim ids begin with the citation key.

    A line that is no claim has a Problem for its row. A Problem is raised for an entry that cannot
    be read, with its line, and if no entry holds claims.
    """
    rows: list[tuple[int, dict[str, str] | Problem]] = []
    for entry in re.finditer(r"^[ \t]*+@(\w++)\s*+\{\s*+([^,\s{}]++)\s*+,", text, re.MULTILINE):
        if entry[1].lower() in ("comment", "string", "preamble"):
            continue
        fields = _fields(text, entry.end(), name)
        if "claims" not in fields:
            continue
        document = {"paper": entry[2]}
        for field, column in COLUMN_OF_FIELD.items():
            if field in fields:
                document[column] = " ".join(re.sub(r"[{}]", "", fields[field][1]).split())
        start, body = fields["claims"]
        first = text.count("\n", 0, start) + 1
        for offset, line in enumerate(body.split("\n")):
            if line.strip():
                claim_id = f"{entry[2]}.line{first + offset}"
                row: dict[str, str] | Problem
                try:
                    row = {**document, "claim_id": claim_id, **_row(line, columns)}
                except Problem as problem:
                    row = problem
                rows.append((first + offset, row))
    if not rows:
        raise Problem(f"{name}: no entry has a field `claims`; see results/published/README.md")
    return rows


def _row(line: str, columns: Sequence[str]) -> dict[str, str]:
    words = line.split()
    leading = [word for word in words if "=" not in word]
    if len(leading) != len(LEADING_COLUMNS) or words[: len(LEADING_COLUMNS)] != leading:
        raise Problem(
            f"{line.strip()!r}; a claim is `{' '.join(LEADING_COLUMNS)} column=value ...`"
        )
    row = dict(zip(LEADING_COLUMNS, leading, strict=True))
    for word in words[len(LEADING_COLUMNS) :]:
        column, _, value = word.partition("=")
        if column not in columns:
            raise Problem(f"unknown column {column!r}; allowed: {', '.join(columns)}")
        row[column] = value
    return row


def _fields(text: str, start: int, name: str) -> dict[str, tuple[int, str]]:
    """Field name -> (position of the value, value) of the entry whose body begins at `start`."""
    fields: dict[str, tuple[int, str]] = {}
    pattern = re.compile(r"\s*+,?+\s*+(?:(\w++)\s*+=\s*+|\})")
    while True:
        match = pattern.match(text, start)
        if match is None:
            line = text.count("\n", 0, start) + 1
            raise Problem(f"{name}, line {line}: cannot read the BibTeX entry; check its braces")
        if match[1] is None:
            return fields
        begin, end = _value_span(text, match.end(), name)
        fields[match[1].lower()] = (begin, text[begin:end])
        start = end + (text[end : end + 1] in ("}", '"') and text[begin - 1] in '{"')


def _value_span(text: str, start: int, name: str) -> tuple[int, int]:
    """Where the value at `start` begins and ends, without its braces or quotes."""
    opening = text[start : start + 1]
    if opening not in ("{", '"'):
        bare = re.compile(r"[^,}\s]+").match(text, start)
        if bare:
            return bare.span()
    depth = 0
    for i in range(start + 1, len(text)):
        if opening == '"' and text[i] == '"' and depth == 0:
            return start + 1, i
        if opening == "{" and text[i] == "}" and depth == 0:
            return start + 1, i
        depth += (text[i] == "{") - (text[i] == "}")
    line = text.count("\n", 0, start) + 1
    raise Problem(f"{name}, line {line}: a value that never ends; check its braces")
