"""Findings as a markdown report, which opens with what is wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from harness.audit.findings import Check, Finding

PLAIN = {"consistent", "comparable", "no evidence"}  # verdicts that the report only counts
WRONG = ("contradicted", "not supported", "suspicious")
LINES = 12  # the opening names at most this many statements, and rows that were left out
NUMBERS = 24  # and this many kinds of doubtful numbers
CELLS = 2  # and for each at most this many cells
ORDER_IN_KIND = ("contradicted", "not supported", "not comparable", "supported")
IN_KIND = (
    "The same losses were compared on data that the paper has not. A verdict says whether a "
    "finding holds there too; it is no judgement of the paper's own numbers. Holm's correction is "
    "over a statement's own comparisons, so `compare`, which corrects over all pairs, finds less. "
    "Behind it is one search of each loss, the first: another search may turn a verdict round, a "
    "small gap sooner than a large one; `table` shows how far where a study repeats its searches."
)
IDS = 8  # a table names at most this many records of a finding
LENGTH = 300  # characters of a reason in the opening
HEADINGS: dict[Check, str] = {
    "reading": "Rows and statements that were left out",
    "on paper": "Arithmetic and spreads, from the printed numbers of one document",
    "other documents": "Against the numbers that other documents print for the same datasets",
    "separable": "Separable, given the printed spread and number of runs",
    "comparability": "Settings of the numbers that are compared",
    "literature": "Agreement of several papers on the same number",
    "our evidence": "Against our own records",
    "in kind": "Against our own records of other datasets",
}
IN_WORDS: dict[str, str] = {
    "on paper": "by the printed numbers",
    "separable": "beyond the printed noise",
    "our evidence": "by our records",
}
ESCAPES = str.maketrans({"|": "\\|", "\n": " "})  # what a cell of a markdown table cannot hold


class Entry(NamedTuple):
    """Something wrong in the words of the opening."""

    verdict: str
    text: str


def to_markdown(findings: Sequence[Finding], title: str = "Audit of published claims") -> str:
    """A report: what is wrong on one screen, every statement, the doubtful findings, the counts.

    The CSV and JSON forms hold every finding. The report only counts the findings with a `PLAIN`
    verdict that are not about a statement, so that the others can be read.
    """
    lines = [f"# {title}", "", *_opening(findings)]
    statements = [finding for finding in findings if finding.about == "statement"]
    if statements:
        lines += ["## Statements", ""]
        for subject in dict.fromkeys(finding.subject for finding in statements):
            lines += _statement_lines([f for f in statements if f.subject == subject])
    for check, heading in HEADINGS.items():
        checked = [f for f in findings if f.check == check and f.about != "statement"]
        doubtful = [f for f in checked if f.verdict not in PLAIN and check != "reading"]
        if doubtful:
            lines += [f"## {heading}", "", "| verdict | of | reason | records |", "|-|-|-|-|"]
            lines += [_row(f.verdict, f.subject, f.reason, _ids(f.records)) for f in doubtful]
            lines.append("")
    return "\n".join([*lines, "## Counts", "", *_counts(findings)]) + "\n"


def of_the_paper(findings: Sequence[Finding]) -> list[Finding]:
    """The findings about what a paper says of its own data, which alone can be wrong."""
    return [finding for finding in findings if finding.check != "in kind"]


def _opening(findings: Sequence[Finding]) -> list[str]:
    return [*_wrong(of_the_paper(findings)), *_in_kind(findings)]


def _wrong(findings: Sequence[Finding]) -> list[str]:
    wrong = [finding for finding in findings if finding.verdict in WRONG]
    statements = [finding for finding in wrong if finding.about == "statement"]
    numbers = [finding for finding in wrong if finding.about == "claim"]
    lines = _left_out([f for f in findings if f.verdict == "left out"])
    lines += ["## What is wrong", ""]
    if not statements and not numbers:
        return [*lines, "Nothing, by these checks.", ""]
    if statements:
        entries = wrong_statements(findings)
        lines += ["**Statements** that do not hold:", "", *_first(entries, LINES), ""]
    if numbers:
        entries = wrong_numbers(findings)
        lines += ["**Numbers** that cannot be right, or are in doubt:", ""]
        lines += [*_first(entries, NUMBERS), ""]
    return lines


def _in_kind(findings: Sequence[Finding]) -> list[str]:
    """What our records of other datasets say of the statements, which none of them contradicts."""
    tested = [finding for finding in findings if finding.check == "in kind"]
    if not tested:
        return []
    lines = ["## In kind, on other datasets", "", IN_KIND, ""]
    for finding in sorted(tested, key=lambda f: ORDER_IN_KIND.index(f.verdict)):
        said = f'"{finding.numbers["said"]}" ({finding.paper})'
        lines.append(f"- **{finding.verdict}** {_short(f'{said}: {_counted_in_kind(finding)}')}")
    return [*lines, ""]


def _counted_in_kind(finding: Finding) -> str:
    """The dataset and how many cells went which way, without the gaps."""
    return finding.reason.split("; measured gaps")[0]


def _left_out(rows: Sequence[Finding]) -> list[str]:
    if not rows:
        return []
    count = "1 row was" if len(rows) == 1 else f"{len(rows)} rows were"
    lines = [f"**{count} left out** of this audit:", ""]
    lines += [f"- {row.subject}: {_short(row.reason)}" for row in rows[:LINES]]
    if len(rows) > LINES:
        lines.append(f"- and {len(rows) - LINES} more; `--format csv` lists them all")
    return [*lines, ""]


def wrong_statements(findings: Sequence[Finding]) -> list[Entry]:
    """The statements that do not hold, the worst first, with what is held against them."""
    by_subject: dict[str, list[Finding]] = defaultdict(list)
    for finding in of_the_paper(findings):
        if finding.verdict in WRONG and finding.about == "statement":
            by_subject[finding.subject].append(finding)
    ordered = sorted(by_subject.values(), key=_severity)
    entries = []
    for of_one in ordered:
        worst = WRONG[_severity(of_one)]
        numbers = of_one[0].numbers
        text = f'"{numbers.get("said", "")}" ({numbers.get("where_said", "")})'
        checks = ". ".join(_check_in_words(f) for f in of_one if f.verdict == worst)
        entries.append(Entry(worst, f"{text}: {checks}"))
    return entries


def _severity(findings: Sequence[Finding]) -> int:
    """The place in `WRONG` of the worst verdict."""
    return min(WRONG.index(finding.verdict) for finding in findings)


def _check_in_words(finding: Finding) -> str:
    """What one check holds against a statement, with the printed numbers."""
    cells = finding.numbers.get("cells", [])
    counted = finding.reason.split(";")[0].split(":")[0].split(" after Holm")[0]
    outcomes = (-1, 0) if finding.verdict == "contradicted" else (0, -1)
    against = [cell for outcome in outcomes for cell in cells if cell["outcome"] == outcome]
    named = [_cell_in_words(cell) for cell in against[:CELLS]]
    more = len(against) - len(named)
    words = f"{IN_WORDS.get(finding.check, finding.check)}, {counted}"
    if named:
        words += "; not so for " + ", ".join(named) + (f" and {more} more" if more else "")
    return words


def _cell_in_words(cell: dict[str, Any]) -> str:
    place = " ".join(
        word for word in (cell["dataset"], cell["category"], cell["metric"]) if word != "single"
    )
    a, b = (text.partition(" (")[0] for text in cell["printed"] or ("", ""))
    text = f"{place}: {cell['a']} {a} against {cell['b']} {b}".rstrip()
    if cell["gap"] is not None:
        text += f" ({cell['gap']:+.2f}"
        text += f" ± {cell['half_width']:.2f}" if cell["p_holm"] is not None else ""
        text += f", p = {cell['p_holm']:.2g})" if cell["p_holm"] is not None else ")"
    return text


def wrong_numbers(findings: Sequence[Finding]) -> list[Entry]:
    """One entry per method, table and kind of fault, the worst first."""
    rows: dict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.verdict not in WRONG or finding.about != "claim":
            continue
        faults = tuple(finding.numbers.get("faults", ()))
        place = tuple(finding.numbers.get(name, "") for name in ("method", "category", "table"))
        rows[finding.paper, finding.check, finding.verdict, faults, *place].append(finding)
    ordered = sorted(rows.values(), key=_severity)
    return [Entry(of_row[0].verdict, _row_in_words(of_row)) for of_row in ordered]


def _row_in_words(findings: Sequence[Finding]) -> str:
    """The numbers of a row that share a fault, and the reason for the first."""
    numbers = findings[0].numbers
    metrics: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        metrics[str(finding.numbers["dataset"])].append(str(finding.numbers["metric"]))
    columns = "; ".join(f"{name} {', '.join(of_dataset)}" for name, of_dataset in metrics.items())
    category = "" if numbers["category"] == "single" else f"{numbers['category']} "
    table = f"table {numbers['table']} of " if numbers["table"] else ""
    lines = ", ".join(str(n) for n in sorted({f.numbers["line"] for f in findings}))
    place = f"{table}{findings[0].paper}, line{'s' if len(findings) > 1 else ''} {lines}"
    return f"{numbers['method']} {category}{columns}: {_short(findings[0].reason)} ({place})"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LENGTH else text[: LENGTH - 4].rsplit(" ", 1)[0] + " ..."


def _first(entries: Sequence[Entry], limit: int) -> list[str]:
    """The first entries as a list, and how many more there are."""
    lines = [f"- **{entry.verdict}**: {entry.text}" for entry in entries[:limit]]
    more = len(entries) - limit
    return [*lines, f"- and {more} more, below"] if more > 0 else lines


def _counts(findings: Sequence[Finding]) -> list[str]:
    """How many findings of each verdict; those without evidence last."""
    counted = Counter((f.check, f.about, f.verdict) for f in findings)
    order = list(HEADINGS)
    keys = sorted(counted, key=lambda key: (key[2] == "no evidence", order.index(key[0]), key))
    lines = ["| check | about | verdict | findings |", "|-|-|-|-:|"]
    return lines + [_row(*key, str(counted[key])) for key in keys]


def _statement_lines(findings: Sequence[Finding]) -> list[str]:
    first = findings[0]
    text, where = first.numbers.get("said", ""), first.numbers.get("where_said", "")
    lines = [f"### {first.subject}", "", f"{text} ({where})", ""]
    lines += ["| check | verdict | reason | records |", "|-|-|-|-|"]
    lines += [_row(f.check, f.verdict, f.reason, _ids(f.records)) for f in findings]
    return [*lines, ""]


def _ids(records: Sequence[str]) -> str:
    """The first of the ids of records, and how many more there are."""
    more = len(records) - IDS
    return " ".join(records[:IDS]) + (f" and {more} more (--format csv)" if more > 0 else "")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.translate(ESCAPES) for cell in cells) + " |"
