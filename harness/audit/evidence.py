"""Our records as evidence for the audit: every finished loss of a study, in percent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.audit.by_records import CATEGORY_OF_SINGLE, Evidence, EvidenceKey
from harness.audit.settings import study_settings
from harness.audit.statements import STEPS
from harness.measure import convergence
from harness.protocol import derive
from harness.protocol.final import final_records
from harness.records import folder, folders, packed, records
from harness.schema import Record, Study
from harness.tables import metrics
from harness.tables.failed import failed_repeats
from harness.tables.repeats import repeat_scores


def read(
    results: Path, study_name: str, say: Callable[[str], None] = lambda _: None
) -> dict[EvidenceKey, Evidence]:
    """(loss, dataset, category, score) -> the repeats that the study's folder holds.

    No evidence, which is said, are records that are not what the study gives, and the category of a
    loss in which repeats failed: what is left of it is of survivors.
    """
    evidence: dict[EvidenceKey, Evidence] = {}
    for line in folders.without_study(results, study_name):
        say(line)
    for where in folders.described(results, study_name):
        description = folder.read_description(where) or {}
        if description["title"] != description["dataset"]:
            continue  # not the published dataset but some of its images
        study = folder.study_of(description)
        for file in packed.record_files(where):
            contents = records.read(file)
            of_file = study.for_loss(file.stem)
            dataset = description["dataset"]
            origin = derive.Origin(of_file, dataset, file.stem, description["fingerprint"])
            left_out = contents.altered | derive.misfits(origin, contents.records).keys()
            loss_records = [r for place, r in enumerate(contents.records) if place not in left_out]
            address = f"{study_name}/{dataset}/{file.stem}"
            if left_out:
                say(
                    f"{address}: {len(left_out)} of {len(contents.records)} records are no "
                    "evidence, for the study does not give them; `python -m harness check` says why"
                )
            failed = failed_repeats(of_file, file.stem, loss_records, searches=1)
            for category, count in failed.items():
                say(f"{address}: no evidence in {category}, where {count} of its repeats failed")
            evidence |= {
                key: found
                for key, found in of_loss(of_file, file.stem, loss_records, dataset=dataset).items()
                if not (failed["aggregate"] if key[-1] == STEPS else failed[key[2]])
            }
    return evidence


def of_loss(
    study: Study, loss: str, loss_records: Sequence[Record], *, dataset: str
) -> dict[EvidenceKey, Evidence]:
    """(loss, dataset, category, score) -> the repeats among all records of one loss.

    A diagnostic is evidence as a score is, of the repeats that were recorded with it.
    """
    final = final_records(study, loss, loss_records)
    ids: dict[str, list[str]] = defaultdict(list)
    for record in final:
        category: str = "aggregate" if record.stage == "repeat" else record.stage
        ids[category].append(f"{study.name}/{dataset}/{record.loss}/{record.key}")
    repeats = [record for record in final if record.stage == "repeat"]
    evidence: dict[EvidenceKey, Evidence] = {}
    convergence_evidence = _convergence(study, repeats, ids["aggregate"])
    if convergence_evidence:
        # only fold models have held-out classes, so their curves stand for models trained on all
        # classes too
        for category in ("aggregate", CATEGORY_OF_SINGLE):
            evidence[loss, dataset, category, STEPS] = convergence_evidence
    names = {name for r in loss_records for name in (*r.scores, *(r.diagnostics or {}))}
    scores = sorted(names - {"queries"})
    by_category = repeat_scores(study, loss, loss_records, metrics=scores)
    for (category, score), values in by_category.items():
        if values:
            evidence[loss, dataset, category, score] = Evidence(
                values=[metrics.metric(score).scale * values[repeat] for repeat in sorted(values)],
                records=ids[category],
                settings=study_settings(study, category),
                repeats=sorted(values),
            )
    return evidence


def _convergence(study: Study, repeats: Sequence[Record], ids: Sequence[str]) -> Evidence | None:
    """The curves of the complete repeats, for statements of how fast a loss converges.

    None if fewer than two repeats have a curve of every fold.
    """
    runs: dict[int, list[Record]] = defaultdict(list)
    for record in repeats:
        if record.failure is None and record.repeat is not None and record.curve:
            runs[record.repeat].append(record)
    complete = [r for r in sorted(runs) if len(runs[r]) == study.folds and r < study.repeats]
    if len(complete) < 2:
        return None
    return Evidence(
        values=[],
        records=ids,
        settings=study_settings(study, "aggregate"),
        repeats=complete,
        curves=[[convergence.curve_of(r.curve, r.epochs) for r in runs[n]] for n in complete],
    )
