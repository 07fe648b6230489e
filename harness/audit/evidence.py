"""Our records as evidence for the audit: every finished loss of a study, in percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.audit.check_evidence import SINGLE, Evidence, Key, conditions_of
from harness.audit.statements import STEPS
from harness.measure import convergence
from harness.protocol import plan
from harness.records import folder, records
from harness.schema import Record, Study
from harness.tables import table

FINAL = ("repeat", "ensemble", "complete")  # nothing that was tuned on test classes is evidence


def read(results: Path, study_name: str) -> dict[Key, Evidence]:
    """(loss, dataset, category, score) -> the repeats that the study's folder holds."""
    found: dict[Key, Evidence] = {}
    for path in sorted((results / study_name).glob("*/study.json")):
        description = folder.read_description(path.parent) or {}
        if description["title"] != description["dataset"]:
            continue  # not the published dataset but some of its images
        study = folder.study_of(description)
        for file in sorted(path.parent.glob("*.jsonl")):
            lines = records.read(file).records
            winner = plan.winner_of(study, file.stem, lines)
            ids: dict[str, list[str]] = {}
            for record in lines:
                if record.trial == winner and record.stage in FINAL and not record.search_repeat:
                    stage = "aggregate" if record.stage == "repeat" else record.stage
                    ids.setdefault(stage, []).append(
                        f"{study.name}/{description['dataset']}/{record.loss}/{record.key}"
                    )
            found |= _convergence(study, description["dataset"], file.stem, lines, winner, ids)
            scores = sorted({name for record in lines for name in record.scores} - {"queries"})
            for (category, score), values in table.values_of(
                study, file.stem, lines, scores
            ).items():
                if values:
                    repeats = sorted(values)
                    found[file.stem, description["dataset"], category, score] = Evidence(
                        values=[100 * values[repeat] for repeat in repeats],
                        records=ids.get(category, []),
                        conditions=conditions_of(study, category),
                        repeats=repeats,
                    )
    return found


def _convergence(
    study: Study,
    dataset: str,
    loss: str,
    lines: Sequence[Record],
    winner: int | None,
    ids: Mapping[str, Sequence[str]],
) -> dict[Key, Evidence]:
    """The repeats' curves, for statements of how fast a loss converges.

    They are of the fold models, which alone have held-out classes; statements of one model trained
    on everything are held against them too.
    """
    runs: dict[int, list[Record]] = {}
    for record in lines:
        kept = record.failure is None and not record.search_repeat and record.repeat is not None
        if record.stage == "repeat" and record.trial == winner and kept and record.curve:
            runs.setdefault(record.repeat or 0, []).append(record)
    whole = [r for r in sorted(runs) if len(runs[r]) == study.folds and r < study.repeats]
    if len(whole) < 2:
        return {}
    told = Evidence(
        values=[],
        records=ids["aggregate"],
        conditions=conditions_of(study, "aggregate"),
        repeats=whole,
        curves=[[convergence.curve_of(r.curve, r.epochs) for r in runs[n]] for n in whole],
    )
    return {(loss, dataset, category, STEPS): told for category in ("aggregate", SINGLE)}
