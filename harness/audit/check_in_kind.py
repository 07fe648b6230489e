"""Statements against our records of other datasets than the paper's: do they hold there in kind.

The same losses, categories and metrics are compared; only the data are others. So the verdict says
whether a finding travels. It does not contradict a printed number, and is no fault of the paper.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from harness.audit.by_records import Evidence, EvidenceKey, judge_by_records, key_of, our_side
from harness.audit.cells import statement_finding
from harness.audit.findings import Finding
from harness.audit.statements import Pair, Side, Statement


def of_statement(
    statement: Statement, pairs: Sequence[Pair], measured: Mapping[EvidenceKey, Evidence]
) -> list[Finding]:
    """A finding for each dataset that the statement is not about and that can test it.

    None of a statement about its own datasets alone (`general` is false), and none where no pair
    has repeats on both sides. Metrics that nothing on the dataset was recorded with are left out.
    """
    its_datasets = {side.dataset for pair in pairs for side in pair}
    others = {dataset for _, dataset, _, _ in measured} - its_datasets
    findings = [
        _on_dataset(dataset, statement, pairs, measured)
        for dataset in sorted(others if statement.general else ())
    ]
    return [finding for finding in findings if finding.verdict != "no evidence"]


def _on_dataset(
    dataset: str,
    statement: Statement,
    pairs: Sequence[Pair],
    measured: Mapping[EvidenceKey, Evidence],
) -> Finding:
    recorded = {score for _, of_dataset, _, score in measured if of_dataset == dataset}
    # several printed pairs of the same losses are one pair of ours
    moved = list(dict.fromkeys((_on(dataset, a), _on(dataset, b)) for a, b in pairs))
    compared = [pair for pair in moved if all(key_of(side)[-1] in recorded for side in pair)]
    asked = _in_kind(statement, n_printed=len(pairs), n_cells=len(compared))
    judged = judge_by_records(asked, compared, measured)
    reason = f"{_where(dataset, judged.records, measured)}: {judged.reason}"
    if asked.k is not None:
        reason += f"; asked for are {asked.k} of {len(compared)} cells, the paper's share"
    left_out = {a.metric for a, _ in moved} - {a.metric for a, _ in compared}
    if left_out:
        reason += f"; not recorded there: {', '.join(sorted(left_out))}"
    return statement_finding(
        statement,
        judged.cells,
        check="in kind",
        verdict=judged.verdict,
        reason=reason,
        records=judged.records,
    )


def _on(dataset: str, side: Side) -> Side:
    return dataclasses.replace(our_side(side), dataset=dataset)


def _in_kind(statement: Statement, *, n_printed: int, n_cells: int) -> Statement:
    """The statement as other data can test it: k of n cells as a share, no points and no factor.

    By how many points A is ahead, or how many times as fast, depends on the data; how far it may be
    behind is kept.
    """
    k = statement.k
    if k is not None and n_printed:
        k = math.ceil(k * n_cells / (statement.n or n_printed))
    factor = statement.factor and 1.0
    return dataclasses.replace(statement, k=k, n=None, by=min(statement.by, 0.0), factor=factor)


def _where(dataset: str, records: Sequence[str], measured: Mapping[EvidenceKey, Evidence]) -> str:
    """In words: the dataset and the trunks behind the records."""
    used = set(records)
    trunks = {
        evidence.settings["trunk"]
        for (_, of_dataset, _, _), evidence in measured.items()
        if of_dataset == dataset and not used.isdisjoint(evidence.records)
    }
    return ", ".join([f"on {dataset}", *sorted(trunks)])
