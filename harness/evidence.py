"""Our records as evidence for the audit: every finished loss of a study, in percent."""

from __future__ import annotations

from pathlib import Path

from harness import plan, records, tables
from harness.audit_evidence import Evidence, Key, conditions_of

FINAL = ("repeat", "ensemble", "complete")  # nothing that was tuned on test classes is evidence


def read(results: Path, study_name: str) -> dict[Key, Evidence]:
    """(loss, dataset, category, score) -> the repeats that the study's folder holds."""
    found: dict[Key, Evidence] = {}
    for path in sorted((results / study_name).glob("*/study.json")):
        description = records.read_description(path.parent) or {}
        if description["title"] != description["dataset"]:
            continue  # not the published dataset but some of its images
        study = records.study_of(description)
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
            scores = sorted({name for record in lines for name in record.scores} - {"queries"})
            for (category, score), values in tables.values_of(
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
